// A unit as large as Linux lets a file be, 8 EiB less one block: nothing overflows on the way to its end.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <span>

#include "base/endian.h"
#include "handler-host/scsi/testing/test_lun.h"

namespace bulkhead::scsi {
namespace {

using namespace testing;
using handler::IoStatus;

constexpr std::uint64_t kBytes = (std::uint64_t{1} << 63) - 512;
constexpr std::uint64_t kLast = kBytes / 512 - 1;

// Keeps the blocks that were written, and nothing else.
class SparseDevice final : public handler::Device {
 public:
  [[nodiscard]] handler::Geometry geometry() const override {
    handler::Geometry geometry = thin();
    geometry.size = {kBytes};
    geometry.tells_space = true;
    return geometry;
  }
  void read(ByteOffset from, std::span<std::byte> into, handler::Io& io) override {
    std::ranges::fill(into, std::byte{0});
    for (std::size_t at = 0; at < into.size(); at += 512)
      if (const auto block = blocks.find(from.value + at); block != blocks.end())
        std::ranges::copy(block->second, into.begin() + static_cast<std::ptrdiff_t>(at));
    io.done(IoStatus::Ok);
  }
  void write(ByteOffset to, std::span<const std::byte> from, handler::Durability, handler::Io& io) override {
    for (std::size_t at = 0; at < from.size(); at += 512) {
      const auto block = from.subspan(at, 512);
      blocks[to.value + at].assign(block.begin(), block.end());
    }
    io.done(IoStatus::Ok);
  }
  void flush(handler::Io& io) override { io.done(IoStatus::Ok); }
  void discard(ByteOffset at, ByteCount length, handler::Io& io) override {
    blocks.erase(blocks.lower_bound(at.value), blocks.lower_bound(at.value + length.value));
    io.done(IoStatus::Ok);
  }
  void write_zeroes(ByteOffset, ByteCount, handler::Durability, handler::Io& io) override {
    io.done(IoStatus::NotSupported);
  }
  void provisioning(ByteOffset from, ByteCount length, handler::Run& run, handler::Io& io) override {
    const auto next = blocks.lower_bound(from.value);
    if (next != blocks.end() && next->first == from.value)
      run = {handler::Provisioning::Mapped, {512}};
    else
      run = {handler::Provisioning::Deallocated,
             {next == blocks.end() ? length.value : std::min(length.value, next->first - from.value)}};
    io.done(IoStatus::Ok);
  }
  [[nodiscard]] Result<> resize(ByteCount) override { return {}; }
  [[nodiscard]] Result<> close() override { return {}; }

  std::map<std::uint64_t, std::vector<std::byte>> blocks;  // by byte
};

class HugeUnit : public ::testing::Test {
 protected:
  Answer run(const Bytes& cdb, const Bytes& data) {
    std::vector<std::byte> buffer(data.size());
    std::ranges::copy(std::as_bytes(std::span(data)), buffer.begin());
    TestCommand command(cdb, buffer);
    unit.execute(command);
    Bytes returned(command.reply().data_bytes);
    std::ranges::copy(std::span(buffer).first(returned.size()),
                      std::as_writable_bytes(std::span(returned)).begin());
    return {command.reply(), returned};
  }
  Answer get(const Bytes& cdb, std::size_t bytes = 64) { return run(cdb, Bytes(bytes, 0xee)); }
  static std::uint64_t u64(const Bytes& bytes, std::size_t at) {
    return be64(std::span<const std::uint8_t, 8>(&bytes[at], 8));
  }
  static Bytes lba_status(std::uint64_t lba) {
    Bytes cdb(16);
    cdb[0] = 0x9e;
    cdb[1] = 0x12;
    put_be64(std::span<std::uint8_t, 8>(&cdb[2], 8), lba);
    cdb[13] = 64;
    return cdb;
  }

  SparseDevice device;
  FakeServices services{true};
  FakeIdentity identity;
  LogicalUnit unit{device, services, identity,
                   Parameters{.device = "d", .config = "c", .size = {kBytes}, .max_commands = 2}};
};

TEST_F(HugeUnit, TellsItsCapacity) {
  EXPECT_EQ(get({0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0}).data, (Bytes{0xff, 0xff, 0xff, 0xff, 0, 0, 2, 0}));
  EXPECT_EQ(u64(get({0x9e, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32, 0, 0}).data, 0), kLast);
  EXPECT_EQ(u64(get({0x5a, 0x10, 0x08, 0, 0, 0, 0, 0, 64, 0}).data, 8), kLast + 1);  // LLBAA
}

TEST_F(HugeUnit, CountsItsThresholdSetsIn32Bits) {
  const std::uint8_t exponent = get(vpd(0xb2)).data[4];
  EXPECT_LT((kLast + 1) >> exponent, std::uint64_t{1} << 32);
}

TEST_F(HugeUnit, IsReadAndWrittenToItsLastBlock) {
  Bytes two(1024, 0x5a);
  two[600] = 1;
  EXPECT_THAT(run(write16(Lba{kLast - 1}, BlockCount{2}), two).reply, IsGood());
  EXPECT_EQ(device.blocks.begin()->first, kBytes - 1024);
  EXPECT_EQ(get(read16(Lba{kLast - 1}, BlockCount{2}), 1024).data, two);
  EXPECT_THAT(run(write_same16(Lba{kLast}, BlockCount{1}), Bytes(512, 7)).reply, IsGood());
  EXPECT_EQ(get(read16(Lba{kLast}, BlockCount{1}), 512).data, Bytes(512, 7));
}

TEST_F(HugeUnit, BlocksBeyond2To32AreNotThoseBelow) {
  for (const std::uint64_t lba :
       {std::uint64_t{5}, (std::uint64_t{1} << 32) + 5, (std::uint64_t{1} << 53) + 5})
    EXPECT_THAT(run(write16(Lba{lba}, BlockCount{1}), Bytes(512, static_cast<std::uint8_t>(lba >> 32))).reply,
                IsGood());
  EXPECT_EQ(device.blocks.size(), 3u);
  EXPECT_EQ(get(read10(Lba{5}, BlockCount{1}), 512).data, Bytes(512, 0));
  EXPECT_EQ(get(read16(Lba{(std::uint64_t{1} << 32) + 5}, BlockCount{1}), 512).data, Bytes(512, 1));
}

TEST_F(HugeUnit, WhatReachesBeyondItsEndOrBeyond64BitsIsRefused) {
  const std::pair<std::uint64_t, std::uint32_t> ranges[] = {
      {kLast, 2},
      {kLast + 1, 1},
      {kLast + 2, 0},
      {UINT64_MAX, 1},
      {UINT64_MAX, UINT32_MAX},
      {UINT64_MAX - 1, 2},
      {UINT64_MAX / 512, 1},
      {std::uint64_t{1} << 55, 1},
      {(std::uint64_t{1} << 55) + kLast, 1},
  };
  for (const auto& [lba, count] : ranges) {
    const Answer read = get(read16(Lba{lba}, BlockCount{count}), 1024);
    EXPECT_THAT(read.reply, HasSense(SenseKey::IllegalRequest, asc::kLbaOutOfRange)) << lba;
    EXPECT_THAT(run(write16(Lba{lba}, BlockCount{count}), Bytes(1024)).reply,
                HasSense(SenseKey::IllegalRequest, asc::kLbaOutOfRange))
        << lba;
    const Bytes list = unmap_list({{lba, count}});
    EXPECT_THAT(run(unmap_cdb(list.size()), list).reply,
                HasSense(SenseKey::IllegalRequest, asc::kLbaOutOfRange))
        << lba;
  }
  EXPECT_TRUE(device.blocks.empty());
}

TEST_F(HugeUnit, TellsWhichBlocksItHolds) {
  ASSERT_THAT(run(write16(Lba{kLast}, BlockCount{1}), Bytes(512, 1)).reply, IsGood());
  Bytes data = get(lba_status(kLast - 9)).data;
  ASSERT_EQ(data.size(), 8u + 2 * 16);
  EXPECT_EQ(u64(data, 8), kLast - 9);
  EXPECT_EQ(data[19], 9);
  EXPECT_EQ(data[20], 1);  // deallocated
  EXPECT_EQ(u64(data, 24), kLast);
  EXPECT_EQ(data[35], 1);
  EXPECT_EQ(data[36], 0);  // mapped
  EXPECT_EQ(data[7], 3 << 1 | 1);
  // From the first block on, the descriptors' 32 bits are too few.
  data = get(lba_status(0)).data;
  EXPECT_EQ(u64(data, 24), 0xffffffffu);
  EXPECT_THAT(get(lba_status(kLast + 1)).reply, HasSense(SenseKey::IllegalRequest, asc::kLbaOutOfRange));
  const Bytes list = unmap_list({{kLast, 1}});
  EXPECT_THAT(run(unmap_cdb(list.size()), list).reply, IsGood());
  EXPECT_TRUE(device.blocks.empty());
}

}  // namespace
}  // namespace bulkhead::scsi
