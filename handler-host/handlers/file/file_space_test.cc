// Lack of space, by whatever way the system tells of it, is never taken for a broken medium.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/uio.h>

#include <cerrno>
#include <string>

#include "handler-host/handlers/file/attempt.h"
#include "handler-host/handlers/file/file_lun_for_tests.h"
#include "handler-host/handlers/file/limits_for_tests.h"

namespace bulkhead::handler {
namespace {

TEST(StatusOf, LackOfSpaceIsTheSameForEveryChange) {
  for (const Work work : {Work::Write, Work::Flush, Work::Punch, Work::Zero, Work::Discard})
    for (const int number : {ENOSPC, EDQUOT, EFBIG})
      EXPECT_EQ(status_of(work, number), IoStatus::NoSpace) << number;
}

class LackOfSpace : public ::testing::TestWithParam<int> {
 protected:
  // By threads: their calls are made by this process, where they can be made to fail.
  static constexpr const char* kOptions = "?engine=threads&direct=off";
};

TEST_P(LackOfSpace, ToldByAFlushIsAllThatItTells) {
  in_child([] {
    const ScratchFolder folder;
    fail_call(SYS_fdatasync, GetParam());
    FileLun lun(folder.file("a.img", kMebibyte) + kOptions, kMebibyte);
    ASSERT_TRUE(lun.device) << lun.open_error.what;
    EXPECT_EQ(lun.flush(), IoStatus::NoSpace);
    EXPECT_EQ(lun.write_zeroes(0, 4096, Durability::Durable), IoStatus::NoSpace);
  });
}

TEST_P(LackOfSpace, ToldByAnAllocationIsAllThatItTells) {
  in_child([] {
    const ScratchFolder folder;
    FileLun lun(folder.file("a.img", kMebibyte) + kOptions, kMebibyte);
    ASSERT_TRUE(lun.device) << lun.open_error.what;
    fail_call(SYS_fallocate, GetParam());
    EXPECT_EQ(lun.write_zeroes(0, 4096), IoStatus::NoSpace);
    EXPECT_EQ(lun.discard(0, 4096), IoStatus::NoSpace);
  });
}

// The kernel tells a failed write back once; here to a durable write. What was in the cache may be lost, so
// the flush must not succeed.
TEST_P(LackOfSpace, ToldToADurableWriteFailsTheNextFlushToo) {
  in_child([] {
    const ScratchFolder folder;
    FileLun lun(folder.file("a.img", kMebibyte) + kOptions, kMebibyte);
    ASSERT_TRUE(lun.device) << lun.open_error.what;
    fail_call(SYS_pwritev2, GetParam(), {5, RWF_DSYNC});
    const Buffer out(4096);
    EXPECT_EQ(lun.write(0, out), IoStatus::Ok);
    EXPECT_EQ(lun.write(4096, out, Durability::Durable), IoStatus::NoSpace);
    EXPECT_EQ(lun.flush(), IoStatus::NoSpace);
    EXPECT_EQ(lun.flush(), IoStatus::Ok);
    // With nothing in the cache there is nothing to lose.
    EXPECT_EQ(lun.write(4096, out, Durability::Durable), IoStatus::NoSpace);
    EXPECT_EQ(lun.flush(), IoStatus::Ok);
    EXPECT_TRUE(lun.device->close());
  });
}

INSTANTIATE_TEST_SUITE_P(Errors, LackOfSpace, ::testing::Values(ENOSPC, EDQUOT),
                         [](const auto& row) { return row.param == ENOSPC ? "FileSystem" : "Quota"; });

// Skipped for an ordinary user; tools/check takes a skipped test for a failed one.
TEST(FileOnAFullFileSystem, AWriteThatFitsInPartFailsForLackOfSpace) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can mount a small file system";
  for (const std::string options : {"", "?engine=uring", "?engine=threads"}) {
    in_child([&] {
      const ScratchFolder folder;
      ASSERT_EQ(::unshare(CLONE_NEWNS), 0);
      ASSERT_EQ(::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
      ASSERT_EQ(::mount("none", folder.path("").c_str(), "tmpfs", 0, "size=1m"), 0);
      FileLun lun(folder.file("a.img", 4 * kMebibyte) + options, 4 * kMebibyte);
      ASSERT_TRUE(lun.device) << lun.open_error.what;
      const Buffer large(2 * kMebibyte);
      EXPECT_EQ(lun.write(0, large), IoStatus::NoSpace);
      EXPECT_EQ(lun.services.counted("short_transfers"), 1u);
      EXPECT_EQ(lun.write(0, large, Durability::Durable), IoStatus::NoSpace);
      Space space;
      EXPECT_EQ(lun.space(space), IoStatus::Ok);
      EXPECT_EQ(space.available.value, 0u);
      EXPECT_EQ(space.used.value, kMebibyte);
    });
  }
}

}  // namespace
}  // namespace bulkhead::handler
