// GET LBA STATUS over runs that the handler tells.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>
#include <string>

#include "base/endian.h"
#include "handler-host/scsi/testing/test_lun.h"

namespace bulkhead::scsi {
namespace {

using namespace testing;
using handler::IoStatus;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

Bytes lba_status(std::uint64_t lba, std::uint32_t allocation = 4096, std::uint8_t type = 0) {
  Bytes cdb(16);
  cdb[0] = 0x9e;
  cdb[1] = 0x12;
  put_be64(std::span<std::uint8_t, 8>(&cdb[2], 8), lba);
  put_be32(std::span<std::uint8_t, 4>(&cdb[10], 4), allocation);
  cdb[14] = type;
  return cdb;
}

constexpr std::uint8_t kRtp = 0x01;
constexpr std::uint8_t kAtAllocationLength = 1 << 1 | kRtp;
constexpr std::uint8_t kAtCapacity = 3 << 1 | kRtp;

// "first+count mapped, first+count free"; what is reserved must be zero, the lengths must agree.
std::string described(const Answer& answer) {
  if (answer.reply.status != 0) return "failed";
  const Bytes& data = answer.data;
  EXPECT_GE(data.size(), 8u);
  EXPECT_EQ(be32(std::span<const std::uint8_t, 4>(&data[0], 4)), data.size() - 4);
  EXPECT_EQ(be24(std::span<const std::uint8_t, 3>(&data[4], 3)), 0u);
  std::ostringstream words;
  for (std::size_t at = 8; at < data.size(); at += 16) {
    EXPECT_EQ(be24(std::span<const std::uint8_t, 3>(&data[at + 13], 3)), 0u);
    words << (at == 8 ? "" : ", ") << be64(std::span<const std::uint8_t, 8>(&data[at], 8)) << "+"
          << be32(std::span<const std::uint8_t, 4>(&data[at + 8], 4))
          << (data[at + 12] == 0   ? " mapped"
              : data[at + 12] == 1 ? " free"
                                   : " wrong");
  }
  return words.str();
}

void unmap_blocks(TestLun& lun, std::uint64_t lba, std::uint32_t count) {
  const Bytes list = unmap_list({{lba, count}});
  ASSERT_THAT(lun.put(unmap_cdb(list.size()), list), IsGood());
}

// 64 blocks of which 8..15 and 32..63 are free.
class LbaStatus : public ::testing::Test {
 protected:
  LbaStatus() : lun({.geometry = thin()}) {
    unmap_blocks(lun, 8, 8);
    unmap_blocks(lun, 32, 32);
    lun.device.ops.clear();
  }
  std::string ask(const Bytes& cdb) { return described(lun.get(cdb)); }
  TestLun lun;
};

TEST_F(LbaStatus, TellsAllExtentsUpToTheCapacity) {
  EXPECT_EQ(ask(lba_status(0)), "0+8 mapped, 8+8 free, 16+16 mapped, 32+32 free");
  EXPECT_EQ(lun.get(lba_status(0)).data[7], kAtCapacity);
}

TEST_F(LbaStatus, StartsAtTheVeryBlockAskedFor) {
  EXPECT_EQ(ask(lba_status(9)), "9+7 free, 16+16 mapped, 32+32 free");
  EXPECT_EQ(ask(lba_status(63)), "63+1 free");
}

TEST_F(LbaStatus, SeesWritesAndUnmaps) {
  ASSERT_THAT(lun.put(write10(Lba{10}, BlockCount{1}), lun.block_of(7)), IsGood());
  unmap_blocks(lun, 0, 8);
  EXPECT_EQ(ask(lba_status(0)), "0+10 free, 10+1 mapped, 11+5 free, 16+16 mapped, 32+32 free");
}

// iscsi-test-cu asks for 24 bytes: the header and one descriptor.
TEST_F(LbaStatus, ReturnsAsManyDescriptorsAsTheAllocationLengthTakes) {
  EXPECT_EQ(ask(lba_status(0, 24)), "0+8 mapped");
  EXPECT_EQ(lun.get(lba_status(0, 24)).data[7], kAtAllocationLength);
  EXPECT_EQ(ask(lba_status(0, 39)), "0+8 mapped");
  EXPECT_EQ(ask(lba_status(0, 40)), "0+8 mapped, 8+8 free");
  EXPECT_EQ(ask(lba_status(32, 24)), "32+32 free");
  EXPECT_EQ(lun.get(lba_status(32, 24)).data[7], kAtCapacity);
}

TEST_F(LbaStatus, TheInitiatorsBufferLimitsItToo) {
  EXPECT_EQ(described(lun.get(lba_status(0), 40)), "0+8 mapped, 8+8 free");
}

// What is announced is what there would be: at least one descriptor.
TEST_F(LbaStatus, AShortAllocationLengthCutsTheData) {
  for (const std::uint32_t allocation : {0u, 1u, 8u, 20u, 23u}) {
    const Answer answer = lun.get(lba_status(9, allocation));
    EXPECT_THAT(answer.reply, IsGood());
    EXPECT_EQ(answer.data.size(), allocation);
  }
  const Bytes cut = lun.get(lba_status(9, 23)).data;
  EXPECT_EQ(cut[3], 20);     // PARAMETER DATA LENGTH
  EXPECT_EQ(cut[15], 9);     // LBA
  EXPECT_EQ(cut[20], 0x01);  // deallocated
  EXPECT_EQ(lun.get(lba_status(9, 4)).data, (Bytes{0, 0, 0, 20}));
}

TEST_F(LbaStatus, EqualNeighboursAreOneExtent) {
  lun.device.longest_run = 3 * 512;
  EXPECT_EQ(ask(lba_status(0)), "0+8 mapped, 8+8 free, 16+16 mapped, 32+32 free");
  EXPECT_EQ(ask(lba_status(1, 24)), "1+7 mapped");
}

TEST_F(LbaStatus, ReportTypesChooseTheExtents) {
  EXPECT_EQ(ask(lba_status(0, 4096, 0x01)), "8+8 free, 32+32 free");
  EXPECT_EQ(ask(lba_status(0, 4096, 0x02)), "0+8 mapped, 16+16 mapped");
  EXPECT_EQ(ask(lba_status(0, 4096, 0x03)), "8+8 free, 32+32 free");
  EXPECT_EQ(ask(lba_status(12, 24, 0x02)), "16+16 mapped");
  EXPECT_EQ(ask(lba_status(12, 24, 0x03)), "12+4 free");
  EXPECT_EQ(lun.get(lba_status(0, 4096, 0x02)).data[7], kAtCapacity);
}

TEST_F(LbaStatus, WhatThereIsNoneOfHasNoDescriptor) {
  for (const int type : {0x04, 0x10}) {
    const Answer answer = lun.get(lba_status(0, 4096, static_cast<std::uint8_t>(type)));
    EXPECT_EQ(answer.data, (Bytes{0, 0, 0, 4, 0, 0, 0, kAtCapacity}));
  }
  EXPECT_EQ(ask(lba_status(32, 4096, 0x02)), "");
}

TEST_F(LbaStatus, AnUnknownReportTypeIsRefused) {
  for (const int type : {0x05, 0x0f, 0x11, 0xff}) {
    const Reply reply = lun.get(lba_status(0, 4096, static_cast<std::uint8_t>(type))).reply;
    EXPECT_THAT(reply, HasSense(SenseKey::IllegalRequest, asc::kInvalidFieldInCdb));
    EXPECT_THAT(reply, PointsAtCdb(14));
  }
}

TEST_F(LbaStatus, BeyondTheLastBlockIsRefused) {
  for (const std::uint64_t lba : {std::uint64_t{64}, std::uint64_t{65}, std::uint64_t{1} << 63, UINT64_MAX}) {
    const Reply reply = lun.get(lba_status(lba, 24)).reply;
    EXPECT_THAT(reply, HasSense(SenseKey::IllegalRequest, asc::kLbaOutOfRange));
    EXPECT_THAT(reply, PointsAtCdb(2));
  }
  EXPECT_THAT(lun.device.ops, IsEmpty());
}

TEST_F(LbaStatus, AFailingBackEndFailsIt) {
  lun.device.fail(OpKind::Provisioning, IoStatus::ReadError);
  EXPECT_THAT(lun.get(lba_status(0)).reply, HasSense(SenseKey::MediumError, asc::kUnrecoveredReadError));
  lun.device.fail(OpKind::Provisioning, IoStatus::Busy);
  EXPECT_THAT(lun.get(lba_status(0)).reply, IsBusy());
}

TEST_F(LbaStatus, ABackEndThatCantTellHasItAllMapped) {
  lun.device.fail(OpKind::Provisioning, IoStatus::NotSupported);
  EXPECT_EQ(ask(lba_status(3)), "3+61 mapped");
}

TEST_F(LbaStatus, WaitsForNoWriteAndKeepsNone) {
  lun.device.hold(true);
  TestCommand& write = lun.start(write10(Lba{0}, BlockCount{1}), lun.block_of(1));
  TestCommand& status = lun.start(lba_status(0, 24), Bytes(24));
  TestCommand& other = lun.start(write10(Lba{8}, BlockCount{1}), lun.block_of(1));
  EXPECT_EQ(lun.device.held(), 3u);
  lun.device.hold(false);
  lun.device.finish(1);
  EXPECT_TRUE(status.answered());
  lun.device.finish_all();
  EXPECT_TRUE(write.answered() && other.answered());
}

TEST_F(LbaStatus, TheLastBlockMayGoWhileItLooks) {
  lun.device.hold(true);
  lun.device.longest_run = 512;
  TestCommand& status = lun.start(lba_status(0), Bytes(4096));
  lun.device.finish();
  lun.unit.resized({512});
  lun.device.finish();  // of a block that is gone, but that was asked before
  lun.device.hold(false);
  EXPECT_THAT(status.reply(), HasSense(SenseKey::IllegalRequest, asc::kLbaOutOfRange));
}

// SBC-4: the blocks of a fully provisioned unit are mapped, whatever the back end does with them.
TEST(LbaStatusOfAFullyProvisionedUnit, IsMapped) {
  TestLun lun;
  lun.device.mapped.assign(64, false);
  EXPECT_EQ(described(lun.get(lba_status(5))), "5+59 mapped");
  EXPECT_EQ(described(lun.get(lba_status(5, 4096, 0x03))), "");
  EXPECT_THAT(lun.device.ops, IsEmpty());
}

// A handler whose runs are longer than NUMBER OF LOGICAL BLOCKS can say, and one whose runs never end.
class OtherDevice final : public handler::Device {
 public:
  explicit OtherDevice(std::uint64_t longest) : longest_(longest) {}
  [[nodiscard]] handler::Geometry geometry() const override { return thin(); }
  void read(ByteOffset, std::span<std::byte>, handler::Io& io) override { io.done(IoStatus::Ok); }
  void write(ByteOffset, std::span<const std::byte>, handler::Durability, handler::Io& io) override {
    io.done(IoStatus::Ok);
  }
  void flush(handler::Io& io) override { io.done(IoStatus::Ok); }
  void discard(ByteOffset, ByteCount, handler::Io& io) override { io.done(IoStatus::Ok); }
  void write_zeroes(ByteOffset, ByteCount, handler::Durability, handler::Io& io) override {
    io.done(IoStatus::Ok);
  }
  [[nodiscard]] Result<> resize(ByteCount) override { return {}; }
  [[nodiscard]] Result<> close() override { return {}; }
  void provisioning(ByteOffset, ByteCount length, handler::Run& run, handler::Io& io) override {
    ++questions;
    run = {handler::Provisioning::Deallocated, {std::min(length.value, longest_)}};
    io.done(IoStatus::Ok);
  }
  std::size_t questions = 0;

 private:
  std::uint64_t longest_;
};

Answer ask_other(OtherDevice& device, ByteCount size, const Bytes& cdb) {
  FakeServices services;
  FakeIdentity identity;
  LogicalUnit unit(device, services, identity,
                   Parameters{.device = "d", .config = "c", .size = size, .max_commands = 1});
  std::vector<std::byte> buffer(4096);
  TestCommand command(cdb, buffer);
  unit.execute(command);
  Bytes data(command.reply().data_bytes);
  std::ranges::copy(std::as_writable_bytes(std::span(buffer)).first(data.size()),
                    std::as_writable_bytes(std::span(data)).begin());
  return {command.reply(), data};
}

TEST(LbaStatusOfAHugeUnit, LongExtentsTakeSeveralDescriptors) {
  OtherDevice device(UINT64_MAX);
  const ByteCount size{(std::uint64_t{1} << 33) * 512};  // 2^33 blocks: two descriptors and two blocks
  const Answer all = ask_other(device, size, lba_status(0));
  EXPECT_EQ(described(all), "0+4294967295 free, 4294967295+4294967295 free, 8589934590+2 free");
  EXPECT_EQ(all.data[7], kAtCapacity);
  const Answer one = ask_other(device, size, lba_status(0, 24));
  EXPECT_EQ(described(one), "0+4294967295 free");
  EXPECT_EQ(one.data[7], kAtAllocationLength);
  EXPECT_EQ(device.questions, 2u);
}

TEST(LbaStatusOfAHugeUnit, AsksOnlySoOften) {
  OtherDevice device(512);
  const Answer answer = ask_other(device, {std::uint64_t{1} << 40}, lba_status(0));
  EXPECT_EQ(described(answer), "0+4096 free");
  EXPECT_EQ(answer.data[7], kRtp);
}

}  // namespace
}  // namespace bulkhead::scsi
