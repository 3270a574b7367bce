#include "handler-host/runtime/event_loop.h"

#include <gtest/gtest.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <chrono>
#include <thread>
#include <vector>

namespace bulkhead::host {
namespace {

using namespace std::chrono_literals;

class Loop : public ::testing::Test {
 protected:
  void run_until(const bool& done) const {
    const auto deadline = EventLoop::Clock::now() + 20s;
    while (!done && EventLoop::Clock::now() < deadline) loop->wait(1s);
    EXPECT_TRUE(done);
  }
  // Readable at once, and stays so.
  [[nodiscard]] static UniqueFd readable() { return UniqueFd(::eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK)); }

  std::unique_ptr<EventLoop> loop = std::move(*EventLoop::create());
};

TEST_F(Loop, CallsBackForAReadableDescriptorWithItsEvents) {
  const UniqueFd fd = readable();
  bool called = false;
  loop->watch(fd.get(), EPOLLIN, [&](std::uint32_t events) { called = (events & EPOLLIN) != 0; });
  run_until(called);
}

TEST_F(Loop, MakesNoCallAfterUnwatch) {
  const UniqueFd first = readable(), second = readable();
  int calls = 0;
  // Whichever comes first silences both, although the other one's event is in the same round.
  const auto once = [&](std::uint32_t) {
    ++calls;
    loop->unwatch(first.get());
    loop->unwatch(second.get());
  };
  loop->watch(first.get(), EPOLLIN, once);
  loop->watch(second.get(), EPOLLIN, once);
  loop->wait(1s);
  loop->wait(0ms);
  EXPECT_EQ(calls, 1);
}

TEST_F(Loop, ADescriptorNumberUsedAgainInTheSameRoundGetsNoStaleCall) {
  UniqueFd first = readable(), second = readable();
  bool stale = false;
  int calls = 0;
  const auto replace = [&](UniqueFd& other) {
    ++calls;
    const int number = other.get();
    loop->unwatch(number);
    other.reset();
    other = UniqueFd(::eventfd(0, EFD_CLOEXEC));  // takes the number just freed
    ASSERT_EQ(other.get(), number);
    loop->watch(number, EPOLLIN, [&](std::uint32_t) { stale = true; });
  };
  loop->watch(first.get(), EPOLLIN, [&](std::uint32_t) {
    replace(second);
    loop->unwatch(first.get());
  });
  loop->watch(second.get(), EPOLLIN, [&](std::uint32_t) {
    replace(first);
    loop->unwatch(second.get());
  });
  loop->wait(1s);
  EXPECT_EQ(calls, 1);
  EXPECT_FALSE(stale);
}

TEST_F(Loop, RunsPostedWorkInOrderAndWorkPostedMeanwhileLater) {
  std::vector<int> order;
  loop->post([&] {
    order.push_back(1);
    loop->post([&] { order.push_back(3); });
  });
  loop->post([&] { order.push_back(2); });
  loop->run_posted();
  EXPECT_EQ(order, (std::vector{1, 2}));
  EXPECT_TRUE(loop->has_posted());
  loop->wait();  // does not sleep: there is work
  EXPECT_EQ(order, (std::vector{1, 2, 3}));
}

TEST_F(Loop, WakesForWorkFromAnotherThread) {
  bool done = false;
  std::thread other([&] {
    for (int i = 0; i < 1000; ++i) loop->post([&done, i] { done = i == 999; });
  });
  run_until(done);
  other.join();
}

TEST_F(Loop, RunsTimersWhenTheyAreDueInOrder) {
  std::vector<int> order;
  bool done = false;
  const auto start = EventLoop::Clock::now();
  loop->after(30ms, [&] {
    order.push_back(30);
    done = true;
  });
  loop->after(10ms, [&] { order.push_back(10); });
  loop->after(20ms, [&] { order.push_back(20); });
  run_until(done);
  EXPECT_GE(EventLoop::Clock::now() - start, 30ms);
  EXPECT_EQ(order, (std::vector{10, 20, 30}));
}

TEST_F(Loop, ACancelledTimerNeverRuns) {
  bool cancelled_ran = false, done = false;
  const auto timer = loop->after(5ms, [&] { cancelled_ran = true; });
  loop->after(20ms, [&] { done = true; });
  loop->cancel(timer);
  run_until(done);
  EXPECT_FALSE(cancelled_ran);
}

TEST_F(Loop, WaitsNoLongerThanAllowed) {
  const auto start = EventLoop::Clock::now();
  loop->wait(20ms);
  const auto took = EventLoop::Clock::now() - start;
  EXPECT_GE(took, 19ms);
  EXPECT_LT(took, 10s);
}

}  // namespace
}  // namespace bulkhead::host
