#include "supervisor/device/request_queue.h"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <cerrno>
#include <string>

namespace bulkhead::supervisor {
namespace {

namespace asio = boost::asio;
using std::chrono::milliseconds;

constexpr milliseconds kShort{20}, kLong{60'000};

class RequestQueueTest : public ::testing::Test {
 protected:
  // Work that ends when `may_end` is notified.
  RequestQueue::Work slow_work() {
    return [this]() -> asio::awaitable<Result<>> {
      done += 'b';
      co_await may_end.wait_until(Wake::kNever);
      done += 'e';
      co_return Result<>();
    };
  }
  void ask(RequestQueue::Work work, milliseconds patience) {
    auto asking = [](RequestQueueTest* self, RequestQueue::Work what,
                     milliseconds how_long) -> asio::awaitable<void> {
      self->answer = co_await self->queue.ask(std::move(what), how_long);
      self->answered = true;
    };
    asio::co_spawn(io, asking(this, std::move(work), patience), asio::detached);
    settle();
  }
  void begin_next() {
    asio::co_spawn(io, queue.do_next(), asio::detached);
    settle();
  }
  void settle() {
    io.restart();
    io.poll();
  }
  void run_for(milliseconds time) {
    io.restart();
    io.run_for(time);
  }

  asio::io_context io;
  Wake may_end{io};
  std::string done;
  std::optional<Result<>> answer;
  bool answered = false;
  RequestQueue queue{io};
};

TEST_F(RequestQueueTest, WhoeverAsksIsToldWhatItCameTo) {
  ask([]() -> asio::awaitable<Result<>> { co_return fail(Cause::Busy, EBUSY, "not now"); }, kLong);
  EXPECT_FALSE(queue.empty());
  begin_next();
  ASSERT_TRUE(answered);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->error().sys_errno, EBUSY);
  EXPECT_TRUE(queue.empty());
}

// Else the kernel is told that nothing has changed, and it changes.
TEST_F(RequestQueueTest, WhatIsBegunIsWaitedForThoughItTakesLong) {
  ask(slow_work(), kShort);
  begin_next();
  run_for(3 * kShort);
  EXPECT_FALSE(answered) << "it is still being done";
  may_end.notify();
  settle();
  ASSERT_TRUE(answered);
  ASSERT_TRUE(answer);
  EXPECT_TRUE(answer->has_value());
  EXPECT_EQ(done, "be");
}

TEST_F(RequestQueueTest, WhatIsNotBegunInTimeIsNeverDone) {
  ask(slow_work(), kShort);
  run_for(3 * kShort);
  ASSERT_TRUE(answered);
  EXPECT_FALSE(answer);
  EXPECT_TRUE(queue.empty());
  EXPECT_EQ(done, "");
}

TEST_F(RequestQueueTest, AllThatWaitAreRefusedButNotWhatIsBegun) {
  ask(slow_work(), kLong);
  begin_next();
  std::optional<Result<>> other;
  auto asking = [&]() -> asio::awaitable<void> { other = co_await queue.ask(slow_work(), kLong); };
  asio::co_spawn(io, asking(), asio::detached);
  settle();
  queue.refuse(fail(Cause::NotFound, ENODEV, "the device is being removed").error());
  settle();
  EXPECT_FALSE(answered);
  ASSERT_TRUE(other);
  EXPECT_EQ(other->error().sys_errno, ENODEV);
  may_end.notify();
  settle();
  EXPECT_TRUE(answered);
}

}  // namespace
}  // namespace bulkhead::supervisor
