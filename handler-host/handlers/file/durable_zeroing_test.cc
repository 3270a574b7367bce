// Durable zeroing with O_DIRECT, whose parts of file system blocks go through the page cache: its fdatasync()
// may be the one that finds nothing because another was told. The kernel's part in it is played here.
#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <map>
#include <mutex>

#include "handler-host/handlers/file/file_lun_for_tests.h"

namespace {

// The fdatasync() calls of this process, numbered from 1.
class Syncs {
 public:
  // What the call comes to; waits for end() while they are held.
  int begin(int fd) {
    std::unique_lock lock(mutex_);
    const int number = ++begun_;
    if (!held_) return static_cast<int>(::syscall(SYS_fdatasync, fd));
    ended_.wait(lock, [&] { return errors_.contains(number); });
    errno = errors_[number];
    return errno == 0 ? 0 : -1;
  }
  void end(int number, int error) {
    const std::lock_guard lock(mutex_);
    errors_[number] = error;
    ended_.notify_all();
  }
  void hold(bool on) {
    const std::lock_guard lock(mutex_);
    held_ = on;
  }
  int begun() {
    const std::lock_guard lock(mutex_);
    return begun_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable ended_;
  std::map<int, int> errors_;
  int begun_ = 0;
  bool held_ = false;
};
Syncs g_syncs;

}  // namespace

extern "C" int fdatasync(int fd) {
  return g_syncs.begin(fd);
}

namespace bulkhead::handler {
namespace {

using namespace std::chrono_literals;

// Until that many syncs were begun, or `io` is answered.
void run(FileLun& lun, int syncs, const host::WaitingIo& io) {
  const auto late = std::chrono::steady_clock::now() + 20s;
  while (g_syncs.begun() < syncs && io.answers == 0) {
    ASSERT_LT(std::chrono::steady_clock::now(), late);
    lun.loop->run_posted();
    lun.loop->wait(1ms);
  }
}

TEST(DurableZeroing, IsRepeatedIfAFlushBesideItWasToldOfALoss) {
  const ScratchFolder folder;
  FileLun lun(folder.file("image", kMebibyte) + "?direct=on&engine=threads", kMebibyte);
  ASSERT_TRUE(lun.device) << lun.open_error.what;
  const Buffer data(4096);
  ASSERT_EQ(lun.write(0, data), IoStatus::Ok);
  g_syncs.hold(true);
  host::WaitingIo zeroing, flush;
  lun.device->write_zeroes({512}, {512}, Durability::Durable, zeroing);
  run(lun, 1, zeroing);
  lun.device->flush(flush);
  run(lun, 2, flush);
  g_syncs.end(2, EIO);
  EXPECT_EQ(flush.wait(*lun.loop), IoStatus::WriteError);
  g_syncs.end(1, 0);
  run(lun, 3, zeroing);
  EXPECT_EQ(zeroing.answers, 0);
  g_syncs.end(3, 0);
  EXPECT_EQ(zeroing.wait(*lun.loop), IoStatus::Ok);
  EXPECT_EQ(g_syncs.begun(), 3);
  g_syncs.hold(false);
}

}  // namespace
}  // namespace bulkhead::handler
