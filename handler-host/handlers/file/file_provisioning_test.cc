// What handler `file` knows about the space of its backing: holes, unwritten extents, room that is left.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "base/unique_fd.h"
#include "handler-host/handlers/file/file_lun_for_tests.h"

namespace bulkhead::handler {
namespace {

// On the disk the tests run on, and on tmpfs.
class EveryFileSystem : public ::testing::TestWithParam<std::string> {
 protected:
  EveryFileSystem() : folder(GetParam().empty() ? ::testing::TempDir() : GetParam()) {}
  void SetUp() override {
    // A machine may have no tmpfs there. tools/check takes a skipped test for a failed one.
    if (!folder.valid()) GTEST_SKIP() << "no " << GetParam() << " here";
  }
  ScratchFolder folder;
};

TEST_P(EveryFileSystem, ASparseFileIsOneHole) {
  FileLun lun(folder.file("a.img", kMebibyte), kMebibyte);
  ASSERT_TRUE(lun.device) << lun.open_error.what;
  EXPECT_EQ(lun.runs(0, kMebibyte), "hole 1048576");
  EXPECT_EQ(lun.runs(512, 1024), "hole 1024");
}

// By every way to write, with nothing flushed.
TEST_P(EveryFileSystem, WhatWasWrittenIsData) {
  for (const std::string options :
       {"?direct=off&engine=uring", "?direct=off&engine=threads", "?direct=auto"}) {
    FileLun lun(folder.file("a.img", kMebibyte) + options, kMebibyte);
    ASSERT_TRUE(lun.device) << lun.open_error.what;
    EXPECT_EQ(lun.discard(0, kMebibyte), IoStatus::Ok);
    const Buffer out(8192);
    out.fill(0x17);
    EXPECT_EQ(lun.write(65536, out), IoStatus::Ok);
    EXPECT_EQ(lun.runs(0, kMebibyte), "hole 65536, data 8192, hole 974848") << options;
    EXPECT_EQ(lun.runs(65536 + 4096, 65536), "data 4096, hole 61440") << options;
  }
}

TEST_P(EveryFileSystem, WhatWasDiscardedIsAHoleButForParts) {
  FileLun lun(folder.file("a.img", kMebibyte), kMebibyte);
  ASSERT_TRUE(lun.device) << lun.open_error.what;
  const Buffer out(65536);
  out.fill(0x17);
  EXPECT_EQ(lun.write(0, out), IoStatus::Ok);
  EXPECT_EQ(lun.discard(8192, 4096), IoStatus::Ok);
  EXPECT_EQ(lun.runs(0, 65536), "data 8192, hole 4096, data 53248");
  // A part of a page or file system block is zeroed and goes on taking its space.
  EXPECT_EQ(lun.discard(0, 512), IoStatus::Ok);
  EXPECT_EQ(lun.runs(0, 65536), "data 8192, hole 4096, data 53248");
}

// A LUN's block that lies in a hole in part only is mapped.
TEST_P(EveryFileSystem, ABlockThatIsDataInPartIsData) {
  constexpr std::uint32_t kBlock = 65536;
  FileLun lun(folder.file("a.img", kMebibyte) + "?direct=off", kMebibyte, kBlock);
  ASSERT_TRUE(lun.device) << lun.open_error.what;
  const UniqueFd fd(::open(lun.services.requests.front().path.c_str(), O_RDWR | O_CLOEXEC));
  ASSERT_EQ(::pwrite(fd.get(), "x", 1, 3 * kBlock + 20000), 1);
  EXPECT_EQ(lun.runs(0, kMebibyte), "hole 196608, data 65536, hole 786432");
  ASSERT_EQ(::pwrite(fd.get(), "x", 1, 5 * kBlock), 1);
  EXPECT_EQ(lun.runs(4 * kBlock, 4 * kBlock), "hole 65536, data 65536, hole 131072");
}

// Space that was reserved holds no data; dirty pages in it do.
TEST_P(EveryFileSystem, ReservedSpaceIsAHoleUntilItIsWritten) {
  const std::string path = folder.file("a.img", kMebibyte);
  const UniqueFd fd(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  ASSERT_EQ(::fallocate(fd.get(), 0, 0, kMebibyte), 0);
  FileLun lun(path + "?direct=off", kMebibyte);
  ASSERT_TRUE(lun.device) << lun.open_error.what;
  EXPECT_EQ(lun.runs(0, kMebibyte), "hole 1048576");
  const Buffer out(4096);
  out.fill(0x17);
  EXPECT_EQ(lun.write(kMebibyte / 2, out), IoStatus::Ok);
  EXPECT_EQ(lun.runs(0, kMebibyte), "hole 524288, data 4096, hole 520192");
  EXPECT_EQ(lun.flush(), IoStatus::Ok);
  EXPECT_EQ(lun.runs(0, kMebibyte), "hole 524288, data 4096, hole 520192");
}

TEST_P(EveryFileSystem, SpaceIsWhatTheFileTakesAndTheFileSystemHasLeft) {
  const std::string path = folder.file("a.img", 64 * kMebibyte);
  FileLun lun(path, 64 * kMebibyte);
  ASSERT_TRUE(lun.device) << lun.open_error.what;
  Space before, after;
  ASSERT_EQ(lun.space(before), IoStatus::Ok);
  EXPECT_TRUE(lun.device->geometry().tells_space);
  EXPECT_EQ(before.used.value, 0u);
  const Buffer out(kMebibyte);
  out.fill(0x17);
  ASSERT_EQ(lun.write(0, out), IoStatus::Ok);
  ASSERT_EQ(lun.space(after), IoStatus::Ok);
  EXPECT_GE(after.used.value, kMebibyte);
  EXPECT_LT(after.used.value, 2 * kMebibyte);
  struct statvfs all{};
  ASSERT_EQ(::statvfs(path.c_str(), &all), 0);
  const auto left = static_cast<double>(all.f_bavail) * static_cast<double>(all.f_frsize);
  // Others write here too.
  EXPECT_NEAR(static_cast<double>(after.available.value), left, left / 10);
}

TEST_P(EveryFileSystem, AFileThatWasCutHasNoRunsBeyondItsEnd) {
  const std::string path = folder.file("a.img", kMebibyte);
  FileLun lun(path, kMebibyte);
  ASSERT_TRUE(lun.device) << lun.open_error.what;
  ASSERT_EQ(::truncate(path.c_str(), kMebibyte / 2), 0);
  EXPECT_EQ(lun.runs(0, kMebibyte), "status " + std::to_string(static_cast<int>(IoStatus::BeyondEnd)));
  EXPECT_EQ(lun.runs(0, kMebibyte / 2), "hole 524288");
}

// The file system's block, whatever transfers it likes.
TEST_P(EveryFileSystem, TheGranularityIsTheFileSystemsBlock) {
  const std::string path = folder.file("a.img", kMebibyte);
  FileLun lun(path, kMebibyte);
  ASSERT_TRUE(lun.device) << lun.open_error.what;
  struct statvfs all{};
  ASSERT_EQ(::statvfs(path.c_str(), &all), 0);
  EXPECT_EQ(lun.device->geometry().discard_granularity_bytes, all.f_frsize);
  EXPECT_EQ(lun.device->geometry().discard_alignment_bytes, 0u);
  // It holds: a granule is given back, half of one is not.
  const auto block = static_cast<std::uint64_t>(all.f_frsize);
  const Buffer out(4 * block);
  out.fill(0x17);
  ASSERT_EQ(lun.write(0, out), IoStatus::Ok);
  EXPECT_EQ(lun.discard(0, block / 2), IoStatus::Ok);
  EXPECT_EQ(lun.runs(0, 4 * block), "data " + std::to_string(4 * block));
  EXPECT_EQ(lun.discard(block, block), IoStatus::Ok);
  EXPECT_EQ(lun.runs(block, 2 * block), "hole " + std::to_string(block) + ", data " + std::to_string(block));
}

// Its holes are told, and it changes nothing.
TEST_P(EveryFileSystem, AReadOnlySparseFileIsThin) {
  const std::string path = folder.file("a.img", kMebibyte);
  FileLun lun(path + "?ro=on", kMebibyte);
  ASSERT_TRUE(lun.device) << lun.open_error.what;
  EXPECT_TRUE(lun.device->geometry().can_discard);
  EXPECT_TRUE(lun.device->geometry().discard_zeroes);
  EXPECT_EQ(lun.runs(0, kMebibyte), "hole 1048576");
  EXPECT_EQ(lun.discard(0, 4096), IoStatus::WriteProtected);

  const std::string full = folder.file("b.img", 4096);
  const UniqueFd fd(::open(full.c_str(), O_RDWR | O_CLOEXEC));
  const Buffer out(4096);
  ASSERT_EQ(::pwrite(fd.get(), out.bytes().data(), 4096, 0), 4096);
  const FileLun thick(full + "?ro=on", 4096);
  ASSERT_TRUE(thick.device) << thick.open_error.what;
  EXPECT_FALSE(thick.device->geometry().can_discard);
}

// The largest file there can be: 8 EiB on tmpfs, 16 TiB on ext4 with blocks of 4 KiB. Nothing of it is
// allocated.
TEST_P(EveryFileSystem, TheLargestFileIsServedToItsEnd) {
  const std::string path = folder.file("a.img", kMebibyte);
  std::uint64_t size = 0;
  for (std::uint64_t bit = std::uint64_t{1} << 62; bit >= 4096; bit >>= 1)
    if (::truncate(path.c_str(), static_cast<off_t>(size | bit)) == 0) size |= bit;
  ASSERT_GT(size, std::uint64_t{1} << 41) << "2 TiB at least";
  ASSERT_EQ(::truncate(path.c_str(), static_cast<off_t>(size)), 0);
  FileLun lun(path, size);
  ASSERT_TRUE(lun.device) << lun.open_error.what;
  EXPECT_EQ(lun.device->geometry().size.value, size);
  EXPECT_TRUE(lun.device->geometry().can_discard);
  EXPECT_EQ(lun.runs(0, size), "hole " + std::to_string(size));
  const Buffer out(4096), in(4096);
  out.fill(0x17);
  EXPECT_EQ(lun.write(size - 4096, out), IoStatus::Ok);
  EXPECT_EQ(lun.write(size - 4096, out, Durability::Durable), IoStatus::Ok);
  EXPECT_EQ(lun.read(size - 4096, in), IoStatus::Ok);
  EXPECT_TRUE(in.holds_only(0x17));
  EXPECT_EQ(lun.runs(0, size), "hole " + std::to_string(size - 4096) + ", data 4096");
  EXPECT_EQ(lun.discard(size - 4096, 4096), IoStatus::Ok);
  EXPECT_EQ(lun.runs(0, size), "hole " + std::to_string(size));
  EXPECT_EQ(lun.flush(), IoStatus::Ok);
}

INSTANTIATE_TEST_SUITE_P(On, EveryFileSystem, ::testing::Values("", "/dev/shm"),
                         [](const auto& row) { return row.param.empty() ? "TheDisk" : "Tmpfs"; });

}  // namespace
}  // namespace bulkhead::handler
