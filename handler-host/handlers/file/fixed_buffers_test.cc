// Buffers whose pages io_uring keeps: fixed_buffers=on.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <span>
#include <string>

#include "base/unique_fd.h"
#include "handler-host/handlers/file/file_lun_for_tests.h"

namespace bulkhead::handler {
namespace {

constexpr std::size_t kRegion = 64 * 1024;
constexpr std::size_t kBlock = 4096;

// The host's buffers, and the same pages seen from somewhere else, as the supervisor does.
class FixedBuffers : public ::testing::TestWithParam<std::string> {
 protected:
  FixedBuffers() : buffers(map(nullptr, MAP_SHARED)), elsewhere(map(nullptr, MAP_SHARED)) {}
  ~FixedBuffers() override {
    for (const auto part : {buffers, elsewhere}) ::munmap(part.data(), part.size());
  }
  std::span<std::byte> map(void* at, int flags) {
    if (::ftruncate(memory.get(), kRegion) != 0) return {};
    void* mapped = ::mmap(at, kRegion, PROT_READ | PROT_WRITE, flags, memory.get(), 0);
    EXPECT_NE(mapped, MAP_FAILED);
    return {static_cast<std::byte*>(mapped), kRegion};
  }
  IoStatus read(std::uint64_t offset, std::span<std::byte> into) {
    host::WaitingIo io;
    lun.device->read({offset}, into, io);
    return io.wait(*lun.loop);
  }
  IoStatus write(std::uint64_t offset, std::span<const std::byte> from, Durability durability) {
    host::WaitingIo io;
    lun.device->write({offset}, from, durability, io);
    return io.wait(*lun.loop);
  }

  UniqueFd memory{::memfd_create("buffers", MFD_CLOEXEC)};
  std::span<std::byte> buffers, elsewhere;
  ScratchFolder folder;
  FileLun lun{folder.file("a.img", kMebibyte) + "?fixed_buffers=on&engine=uring&direct=" + GetParam(),
              kMebibyte, 512, buffers};
};

TEST_P(FixedBuffers, CarryDataBothWays) {
  ASSERT_TRUE(lun.device) << lun.open_error.what;
  const auto out = buffers.subspan(kBlock, 2 * kBlock), in = buffers.last(2 * kBlock);
  std::memset(out.data(), 0x5a, out.size());
  EXPECT_EQ(write(8192, out.first(kBlock), Durability::Cached), IoStatus::Ok);
  EXPECT_EQ(write(8192 + kBlock, out.last(kBlock), Durability::Durable), IoStatus::Ok);
  EXPECT_EQ(read(8192, in), IoStatus::Ok);
  EXPECT_EQ(std::memcmp(in.data(), out.data(), out.size()), 0);
  EXPECT_TRUE(lun.device->close());
}

TEST_P(FixedBuffers, OthersMayBeUsedBesideThem) {
  ASSERT_TRUE(lun.device) << lun.open_error.what;
  const Buffer out(kBlock), in(kBlock);
  out.fill(0xa5);
  EXPECT_EQ(lun.write(0, out), IoStatus::Ok);
  EXPECT_EQ(lun.read(0, in), IoStatus::Ok);
  EXPECT_TRUE(in.holds_only(0xa5));
}

// Data goes to the pages that were there at the start, whatever lies at that place now: so they are kept, and
// not looked up.
TEST_P(FixedBuffers, ArePagesNotPlaces) {
  ASSERT_TRUE(lun.device) << lun.open_error.what;
  const Buffer out(kBlock);
  out.fill(0x77);
  ASSERT_EQ(lun.write(0, out), IoStatus::Ok);
  void* replaced =
      ::mmap(buffers.data(), kRegion, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  ASSERT_EQ(replaced, buffers.data());
  EXPECT_EQ(read(0, buffers.first(kBlock)), IoStatus::Ok);
  EXPECT_EQ(elsewhere[0], std::byte{0x77});
  EXPECT_EQ(buffers[0], std::byte{0});
}

INSTANTIATE_TEST_SUITE_P(Direct, FixedBuffers, ::testing::Values("on", "off"));

}  // namespace
}  // namespace bulkhead::handler
