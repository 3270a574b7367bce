#include "supervisor/process/lock_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>

namespace bulkhead::supervisor {
namespace {

std::string path() {
  return std::string(::getenv("TEST_TMPDIR") != nullptr ? ::getenv("TEST_TMPDIR") : "/tmp") + "/lock";
}

TEST(LockFile, SecondProcessIsToldWhoHasItAndHowToStopIt) {
  auto mine = take_lock_file(path());
  ASSERT_TRUE(mine);
  const pid_t holder = ::getpid();
  const pid_t child = ::fork();
  if (child == 0) {
    auto second = take_lock_file(path());
    const bool told = !second && second.error().cause == Cause::Busy &&
                      second.error().what.contains(std::to_string(holder)) &&
                      second.error().what.contains("systemctl stop");
    ::_exit(told ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

TEST(LockFile, IsFreeAgainOnceItsHolderIsGone) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(take_lock_file(path()) ? 0 : 1);
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_TRUE(take_lock_file(path()));
}

TEST(LockFile, FolderThatIsMissingIsNamed) {
  auto lock = take_lock_file("/nonexistent/tcmu.lock");
  ASSERT_FALSE(lock);
  EXPECT_THAT(lock.error().what, ::testing::HasSubstr("/nonexistent/tcmu.lock"));
}

}  // namespace
}  // namespace bulkhead::supervisor
