#include "supervisor/configfs/blocking_pool.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <array>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <latch>
#include <memory>
#include <thread>
#include <vector>

namespace bulkhead::supervisor {
namespace {

using namespace std::chrono_literals;
namespace asio = boost::asio;
using testing::HasSubstr;

using Job = std::move_only_function<Result<int>()>;

asio::awaitable<void> ask(BlockingPool& pool, std::chrono::milliseconds limit, Job job,
                          std::optional<Result<int>>& answer) {
  Result<int> result = co_await pool.run<int>("ask", limit, std::move(job));
  answer = std::move(result);
}

// What a call that hangs in the kernel looks like: it ends when the test says so.
struct Hang {
  std::latch begun{1};
  std::latch may_end{1};
  std::latch ended{1};
};
Job hanging(const std::shared_ptr<Hang>& hang) {
  return [hang]() -> Result<int> {
    hang->begun.count_down();
    hang->may_end.wait();
    hang->ended.count_down();
    return 1;
  };
}

class BlockingPoolTest : public testing::Test {
 protected:
  void spawn(BlockingPool& pool, std::chrono::milliseconds limit, Job job,
             std::optional<Result<int>>& answer) {
    asio::co_spawn(control_, ask(pool, limit, std::move(job), answer), asio::detached);
  }
  asio::io_context control_{1};
};

TEST_F(BlockingPoolTest, AnswerComesBackToTheControlThreadFromAnotherOne) {
  BlockingPool pool(1);
  std::optional<Result<int>> answer;
  std::thread::id ran_on;
  spawn(
      pool, 10s,
      [&ran_on]() -> Result<int> {
        ran_on = std::this_thread::get_id();
        return 42;
      },
      answer);
  control_.run();
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(*answer, 42);
  EXPECT_NE(ran_on, std::this_thread::get_id());
}

TEST_F(BlockingPoolTest, ErrorOfTheJobComesBackToo) {
  BlockingPool pool(1);
  std::optional<Result<int>> answer;
  spawn(
      pool, 10s, []() -> Result<int> { return fail(Cause::NotFound, ENOENT, "no such attribute"); }, answer);
  control_.run();
  EXPECT_EQ(answer->error().what, "no such attribute");
}

TEST_F(BlockingPoolTest, HangingJobTimesOutWhileOthersAreAnswered) {
  BlockingPool pool(2);
  const auto hang = std::make_shared<Hang>();
  std::optional<Result<int>> late;
  std::optional<Result<int>> fine;
  spawn(pool, 100ms, hanging(hang), late);
  spawn(pool, 10s, []() -> Result<int> { return 7; }, fine);
  control_.run();
  ASSERT_TRUE(late.has_value());
  EXPECT_EQ(late->error().cause, Cause::TimedOut);
  EXPECT_THAT(late->error().what, HasSubstr("ask: no answer within 100 ms"));
  EXPECT_EQ(*fine, 7);
  EXPECT_EQ(pool.running(), 1u);
  hang->may_end.count_down();
  while (pool.running() != 0) std::this_thread::yield();
}

TEST_F(BlockingPoolTest, JobThatWaitedForAThreadPastItsLimitIsNeverRun) {
  BlockingPool pool(1);
  const auto hang = std::make_shared<Hang>();
  std::optional<Result<int>> first;
  std::optional<Result<int>> second;
  std::optional<Result<int>> third;
  bool ran = false;
  spawn(pool, 100ms, hanging(hang), first);
  spawn(
      pool, 100ms,
      [&ran]() -> Result<int> {
        ran = true;
        return 1;
      },
      second);
  control_.run();
  EXPECT_EQ(second->error().cause, Cause::TimedOut);
  hang->may_end.count_down();
  control_.restart();
  spawn(pool, 10s, []() -> Result<int> { return 3; }, third);
  control_.run();
  EXPECT_EQ(*third, 3);
  EXPECT_FALSE(ran);
}

TEST_F(BlockingPoolTest, PoolAndControlLoopMayEndWhileAJobHangs) {
  const auto hang = std::make_shared<Hang>();
  std::optional<Result<int>> answer;
  {
    asio::io_context loop(1);
    BlockingPool pool(1);
    asio::co_spawn(loop, ask(pool, 1h, hanging(hang), answer), asio::detached);
    loop.run_for(1ms);
    hang->begun.wait();
  }
  EXPECT_FALSE(answer.has_value());
  hang->may_end.count_down();
  hang->ended.wait();
}

TEST_F(BlockingPoolTest, ManyCallsAreAnsweredEachWithItsOwnResult) {
  BlockingPool pool(4);
  std::vector<std::optional<Result<int>>> answers(500);
  for (int i = 0; i < 500; ++i)
    spawn(pool, 60s, [i]() -> Result<int> { return i; }, answers[static_cast<std::size_t>(i)]);
  control_.run();
  for (int i = 0; i < 500; ++i) EXPECT_EQ(*answers[static_cast<std::size_t>(i)], i);
}

// The end of a pipe tells when the other one is closed, and which thread it was does not matter to it.
bool hangs_up(const UniqueFd& reader) {
  pollfd one{.fd = reader.get(), .events = POLLIN, .revents = 0};
  return ::poll(&one, 1, 20'000) == 1 && (one.revents & POLLHUP) != 0;
}

TEST_F(BlockingPoolTest, ClosesADescriptorWhenItsLastHolderLetsGo) {
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
  const UniqueFd reader(ends[0]);
  BlockingPool pool(1);
  auto first = pool.closed_here(UniqueFd(ends[1]));
  auto second = first;
  first.reset();
  ASSERT_EQ(::fcntl(second->get(), F_GETFD), FD_CLOEXEC);
  second.reset();
  EXPECT_TRUE(hangs_up(reader));
}

TEST_F(BlockingPoolTest, ClosesWhatNobodyHoldsAnyMore) {
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
  const UniqueFd reader(ends[0]);
  BlockingPool pool(1);
  std::vector<UniqueFd> fds;
  fds.emplace_back(ends[1]);
  pool.close_here(std::move(fds));
  EXPECT_TRUE(hangs_up(reader));
}

TEST_F(BlockingPoolTest, ADescriptorMayOutliveThePool) {
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
  const UniqueFd reader(ends[0]);
  std::shared_ptr<const UniqueFd> left;
  {
    BlockingPool pool(1);
    left = pool.closed_here(UniqueFd(ends[1]));
  }
  left.reset();
  EXPECT_TRUE(hangs_up(reader));
}

}  // namespace
}  // namespace bulkhead::supervisor
