#include "supervisor/broker/file_opener.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/stat.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <condition_variable>
#include <cstdlib>
#include <fstream>
#include <mutex>
#include <thread>

#include "supervisor/broker/write_back_witness.h"

namespace bulkhead::supervisor {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using namespace std::chrono_literals;

class FileOpenerTest : public ::testing::Test {
 protected:
  FileOpenerTest() { std::ofstream(path_) << "data"; }
  // What hung uses the members, and nobody else waits for it.
  ~FileOpenerTest() override {
    let_go();
    while (pool_.running() != 0) std::this_thread::yield();
  }

  // What stands for dead storage: a call that holds a thread of the pool, in front of all others.
  void hang_pool() {
    auto hang = [this]() -> boost::asio::awaitable<void> {
      std::move_only_function<Result<int>()> job = [this]() -> Result<int> {
        std::unique_lock lock(mutex_);
        freed_.wait(lock, [this] { return free_; });
        return 0;
      };
      co_await pool_.run<int>("hang", 2s, std::move(job));
    };
    boost::asio::co_spawn(io_, hang, boost::asio::detached);
    // A job that has not begun when its caller gives up never does.
    while (pool_.running() == 0) io_.poll();
    io_.run();
    io_.restart();
  }
  void let_go() {
    const std::lock_guard lock(mutex_);
    free_ = true;
    freed_.notify_all();
  }
  Result<FileForHost> open(std::chrono::milliseconds limit, bool writable = false) {
    return open_by(opener_, path_, limit, writable);
  }
  Result<FileForHost> open_by(FileOpener& opener, const std::string& config,
                              std::chrono::milliseconds limit = 10s, bool writable = true) {
    Result<FileForHost> result;
    auto ask = [&]() -> boost::asio::awaitable<void> {
      FileAsked asked{.path = path_, .writable = writable};
      FilePolicy policy;
      result = co_await opener.open(config, std::move(asked), std::move(policy), limit);
    };
    boost::asio::co_spawn(io_, ask, boost::asio::detached);
    io_.run();
    io_.restart();
    return result;
  }

  const std::string path_ = std::string(::getenv("TEST_TMPDIR")) + "/lun.raw";
  std::mutex mutex_;
  std::condition_variable freed_;
  bool free_ = false;
  boost::asio::io_context io_;
  BlockingPool pool_{1};
  ImageClaims claims_;
  FileOpener opener_{pool_, 2, claims_, "user_1/a"};
};

TEST_F(FileOpenerTest, OpensWhatTheConfigNames) {
  const auto opened = open(10s);
  ASSERT_TRUE(opened.has_value());
  EXPECT_TRUE(opened->file);
  EXPECT_FALSE(opened->witness);
}

TEST_F(FileOpenerTest, GivesAWitnessOfWhatMayBeWritten) {
  const auto opened = open(10s, true);
  ASSERT_TRUE(opened.has_value());
  EXPECT_TRUE(opened->witness);
  EXPECT_FALSE(write_back_failed(opened->witness));
}

TEST_F(FileOpenerTest, AnotherLunsImageIsRefusedUnlessTheConfigAsksToShare) {
  FileOpener other(pool_, 2, claims_, "user_2/b");
  ASSERT_TRUE(open(10s, true).has_value());
  const auto refused = open_by(other, path_);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().sys_errno, EBUSY);
  EXPECT_THAT(refused.error().what,
              AllOf(HasSubstr("user_1/a"), HasSubstr("user_2/b"), HasSubstr("lock=off")));
  EXPECT_TRUE(open_by(other, path_ + "?lock=off").has_value());
  EXPECT_TRUE(open(10s, true).has_value()) << "the next host of the LUN that has it";
  (void)opener_.let_go();
  EXPECT_TRUE(open_by(other, path_).has_value());
}

TEST_F(FileOpenerTest, WhoSharesClaimsNothing) {
  FileOpener other(pool_, 2, claims_, "user_2/b");
  ASSERT_TRUE(open_by(opener_, path_ + "?lock=off").has_value());
  EXPECT_TRUE(open_by(other, path_).has_value());
}

TEST_F(FileOpenerTest, NewConfigurationFreesTheImageOfTheFormerOnceItServes) {
  FileOpener other(pool_, 2, claims_, "user_2/b");
  ASSERT_TRUE(open(10s, true).has_value());
  auto former = opener_.begin_anew();
  EXPECT_FALSE(open_by(other, path_).has_value()) << "the new one may fail yet";
  former.reset();
  EXPECT_TRUE(open_by(other, path_).has_value());
}

TEST_F(FileOpenerTest, NewConfigurationThatFailsLeavesTheImageClaimed) {
  FileOpener other(pool_, 2, claims_, "user_2/b");
  ASSERT_TRUE(open(10s, true).has_value());
  opener_.go_back(opener_.begin_anew());
  EXPECT_FALSE(open_by(other, path_).has_value());
}

TEST_F(FileOpenerTest, ImageOfAnAdoptedHostIsClaimedByItsWitness) {
  FileOpener other(pool_, 2, claims_, "user_2/b");
  FileOpener before(pool_, 2);  // of the earlier supervisor
  const auto adopted = open_by(before, path_);
  ASSERT_TRUE(adopted.has_value());
  opener_.claim(path_ + "?lock=off", adopted->witness);
  EXPECT_TRUE(open_by(other, path_, 10s, false).has_value());
  opener_.claim(path_, adopted->witness);
  const auto refused = open_by(other, path_, 10s, false);
  ASSERT_FALSE(refused.has_value());
  EXPECT_THAT(refused.error().what, HasSubstr("user_1/a"));
}

TEST_F(FileOpenerTest, StorageThatHangsIsNotAskedAgainAndAgain) {
  hang_pool();
  EXPECT_EQ(open(1ms).error().cause, Cause::TimedOut);
  EXPECT_EQ(open(1ms).error().cause, Cause::TimedOut);
  const auto third = open(10s);
  EXPECT_EQ(third.error().cause, Cause::Busy);
  EXPECT_THAT(third.error().what, HasSubstr("2 earlier attempts"));
}

TEST_F(FileOpenerTest, FilesForGrantsCountToo) {
  const auto witness = std::make_shared<const UniqueFd>(::open(path_.c_str(), O_RDWR | O_CLOEXEC));
  hang_pool();
  Result<FileForGrant> result;
  auto ask = [&](std::chrono::milliseconds limit) {
    auto asking = [&]() -> boost::asio::awaitable<void> {
      result = co_await opener_.open_grant(witness, false, limit);
    };
    boost::asio::co_spawn(io_, asking, boost::asio::detached);
    io_.run();
    io_.restart();
  };
  ask(1ms);
  EXPECT_EQ(result.error().cause, Cause::TimedOut);
  ask(1ms);
  ask(10s);
  EXPECT_EQ(result.error().cause, Cause::Busy);
  EXPECT_EQ(open(10s).error().cause, Cause::Busy);
}

TEST_F(FileOpenerTest, WorksAgainWhenWhatHungHasComeBack) {
  hang_pool();
  EXPECT_EQ(open(1ms).error().cause, Cause::TimedOut);
  EXPECT_EQ(open(1ms).error().cause, Cause::TimedOut);
  let_go();
  // The abandoned calls are worked off on the pool's one thread, in order, before this one.
  while (pool_.running() != 0) std::this_thread::yield();
  Result<FileForHost> opened = open(10s);
  while (!opened && opened.error().cause == Cause::Busy) opened = open(10s);
  EXPECT_TRUE(opened.has_value()) << opened.error().what;
}

}  // namespace
}  // namespace bulkhead::supervisor
