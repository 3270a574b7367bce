// Handler `file` where the system says no: no io_uring, a full file system, a real block device.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <linux/loop.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "handler-host/handlers/file/file_lun_for_tests.h"
#include "handler-host/handlers/file/limits_for_tests.h"

namespace bulkhead::handler {
namespace {

using ::testing::HasSubstr;

TEST(FileWithoutIoUring, ServesByThreadsAndSaysSo) {
  for (const int number : {EPERM, ENOSYS}) {
    in_child([number] {
      const ScratchFolder folder;
      fail_call(SYS_io_uring_setup, number);
      FileLun lun(folder.file("a.img", kMebibyte), kMebibyte);
      ASSERT_TRUE(lun.device) << lun.open_error.what;
      const Buffer out(4096), in(4096);
      out.fill(0x42);
      EXPECT_EQ(lun.write(0, out), IoStatus::Ok);
      EXPECT_EQ(lun.read(0, in), IoStatus::Ok);
      EXPECT_TRUE(in.holds_only(0x42));
      EXPECT_THAT(lun.services.logged(LogLevel::Warning),
                  HasSubstr("no io_uring (set up io_uring: " + errno_text(number)));
      EXPECT_THAT(lun.services.logged(LogLevel::Info), HasSubstr("threads"));
    });
  }
}

TEST(FileWithoutIoUring, RefusesAnInsistentConfig) {
  in_child([] {
    const ScratchFolder folder;
    fail_call(SYS_io_uring_setup, EPERM);
    const FileLun lun(folder.file("a.img", kMebibyte) + "?engine=uring", kMebibyte);
    EXPECT_FALSE(lun.device);
    EXPECT_THAT(lun.open_error.what, HasSubstr("engine=uring is not possible"));
  });
}

// Here and below: who builds as an ordinary user, or in a container without loop devices, may go without
// these tests; tools/check takes a skipped test for a failed one.
TEST(FileOnAFullFileSystem, WritesFailForLackOfSpaceAndHolesGiveItBack) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can mount a small file system";
  in_child([] {
    const ScratchFolder folder;
    ASSERT_EQ(::unshare(CLONE_NEWNS), 0);
    ASSERT_EQ(::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
    ASSERT_EQ(::mount("none", folder.path("").c_str(), "tmpfs", 0, "size=1m"), 0);
    FileLun lun(folder.file("a.img", 4 * kMebibyte), 4 * kMebibyte);
    ASSERT_TRUE(lun.device) << lun.open_error.what;
    const Buffer half(kMebibyte / 2);
    half.fill(0x99);
    EXPECT_EQ(lun.write(0, half), IoStatus::Ok);
    EXPECT_EQ(lun.write(kMebibyte, half), IoStatus::Ok);
    EXPECT_EQ(lun.write(2 * kMebibyte, half), IoStatus::NoSpace);
    EXPECT_THAT(lun.services.logged(LogLevel::Error), HasSubstr("No space left on device; free some space"));
    EXPECT_EQ(lun.discard(0, kMebibyte / 2), IoStatus::Ok);
    EXPECT_EQ(lun.write(2 * kMebibyte, half), IoStatus::Ok);
    // tmpfs can't zero a range in place, but it can make a hole.
    const Buffer in(4096);
    EXPECT_EQ(lun.write_zeroes(2 * kMebibyte, 4096), IoStatus::Ok);
    EXPECT_EQ(lun.read(2 * kMebibyte, in), IoStatus::Ok);
    EXPECT_TRUE(in.holds_only(0));
    // Which it must not where space is to be kept: then the host writes zeroes itself.
    FileLun thick(folder.file("b.img", kMebibyte) + "?discard=off", kMebibyte);
    ASSERT_TRUE(thick.device) << thick.open_error.what;
    EXPECT_EQ(thick.write_zeroes(0, 4096), IoStatus::NotSupported);
    EXPECT_EQ(thick.services.logged(LogLevel::Error), "");
  });
}

// A block device over a file. Not valid(): this machine has none to give.
class LoopDevice {
 public:
  LoopDevice(const std::string& file, unsigned block_bytes) {
    const UniqueFd control(::open("/dev/loop-control", O_RDWR | O_CLOEXEC));
    if (!control) return;
    path_ = "/dev/loop" + std::to_string(::ioctl(control.get(), LOOP_CTL_GET_FREE));
    fd_ = UniqueFd(::open(path_.c_str(), O_RDWR | O_CLOEXEC));
    const UniqueFd backing(::open(file.c_str(), O_RDWR | O_CLOEXEC));
    loop_config config{};
    config.fd = static_cast<unsigned>(backing.get());
    config.block_size = block_bytes;
    if (!fd_ || ::ioctl(fd_.get(), LOOP_CONFIGURE, &config) != 0) fd_.reset();
  }
  ~LoopDevice() {
    if (fd_) ::ioctl(fd_.get(), LOOP_CLR_FD);
  }
  LoopDevice(const LoopDevice&) = delete;
  LoopDevice& operator=(const LoopDevice&) = delete;
  [[nodiscard]] bool valid() const { return fd_.valid(); }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
  UniqueFd fd_;
};

class EveryEngineOnABlockDevice : public ::testing::TestWithParam<std::string> {};

TEST_P(EveryEngineOnABlockDevice, ReadsWritesZeroesAndDiscards) {
  const ScratchFolder folder;
  const LoopDevice device(folder.file("disk", 4 * kMebibyte), 512);
  if (!device.valid()) GTEST_SKIP() << "no loop devices here";
  FileLun lun(device.path() + "?engine=" + GetParam(), 4 * kMebibyte);
  ASSERT_TRUE(lun.device) << lun.open_error.what;
  const Geometry geometry = lun.device->geometry();
  EXPECT_EQ(geometry.size.value, 4 * kMebibyte);
  EXPECT_TRUE(geometry.can_discard);
  EXPECT_FALSE(geometry.discard_zeroes);
  const Buffer out(65536), in(65536);
  out.fill(0x21);
  EXPECT_EQ(lun.write(65536, out, Durability::Durable), IoStatus::Ok);
  EXPECT_EQ(lun.read(65536, in), IoStatus::Ok);
  EXPECT_TRUE(in.holds_only(0x21));
  EXPECT_EQ(lun.write_zeroes(65536, 4096), IoStatus::Ok);
  const Buffer zeroed(4096), next(4096);
  EXPECT_EQ(lun.read(65536, zeroed), IoStatus::Ok);
  EXPECT_TRUE(zeroed.holds_only(0));
  EXPECT_EQ(lun.read(65536 + 4096, next), IoStatus::Ok);
  EXPECT_TRUE(next.holds_only(0x21));
  EXPECT_EQ(lun.discard(0, kMebibyte), IoStatus::Ok);
  EXPECT_EQ(lun.services.counted("discarded_bytes"), kMebibyte);
  EXPECT_EQ(lun.flush(), IoStatus::Ok);
  EXPECT_EQ(lun.services.counted("direct_writes"), 1u);
}

INSTANTIATE_TEST_SUITE_P(Engines, EveryEngineOnABlockDevice, ::testing::Values("uring", "threads"));

TEST(FileOnABlockDevice, OpeningChangesNoByte) {
  const ScratchFolder folder;
  const std::string disk = folder.file("disk", kMebibyte);
  {
    const UniqueFd fd(::open(disk.c_str(), O_RDWR | O_CLOEXEC));
    const Buffer all(kMebibyte);
    all.fill(0x5c);
    ASSERT_EQ(::pwrite(fd.get(), all.bytes().data(), kMebibyte, 0), static_cast<ssize_t>(kMebibyte));
  }
  const LoopDevice device(disk, 512);
  if (!device.valid()) GTEST_SKIP() << "no loop devices here";
  FileLun lun(device.path(), kMebibyte);
  ASSERT_TRUE(lun.device) << lun.open_error.what;
  const Buffer in(kMebibyte);
  EXPECT_EQ(lun.read(0, in), IoStatus::Ok);
  EXPECT_TRUE(in.holds_only(0x5c));
}

TEST(FileOnABlockDevice, WithLargerBlocksThanTheLunIsRefused) {
  const ScratchFolder folder;
  const LoopDevice device(folder.file("disk", 4 * kMebibyte), 4096);
  if (!device.valid()) GTEST_SKIP() << "no loop devices here";
  const FileLun refused(device.path(), 4 * kMebibyte, 512);
  EXPECT_EQ(refused.open_error.what, device.path() +
                                         " has blocks of 4096 bytes, the LUN asks for 512: create the LUN "
                                         "with hw_block_size=4096");
  const FileLun served(device.path(), 4 * kMebibyte, 4096);
  EXPECT_TRUE(served.device) << served.open_error.what;
}

TEST(FileOnABlockDevice, TooSmallForTheLunIsRefused) {
  const ScratchFolder folder;
  const LoopDevice device(folder.file("disk", kMebibyte), 512);
  if (!device.valid()) GTEST_SKIP() << "no loop devices here";
  const FileLun refused(device.path(), 4 * kMebibyte, 512);
  EXPECT_THAT(refused.open_error.what, HasSubstr("make the LUN smaller or the device larger"));
}

}  // namespace
}  // namespace bulkhead::handler
