// A device with limits: what waits for them, in which order, and how such waits end.
#include <gtest/gtest.h>

#include <vector>

#include "supervisor/pump/monotonic.h"
#include "supervisor/pump/testing/data_path_fixture.h"

namespace bulkhead::supervisor {
namespace {

using namespace testing;

// After one WRITE of a block nothing more for an hour: no clock of this test gets there.
constexpr RateLimits kOneWrite{.bytes_per_second = 1, .burst_ms = 10};
constexpr std::uint64_t kHour = 3'600'000'000'000;

class LimitedPathTest : public DataPathTest {
 protected:
  std::uint64_t write() { return *kernel.queue(kWrite10, FakeKernel::Data::Out, 4096, pattern(4096)); }
  // A host that has been given one write; two more wait for the limit, and what is no write behind them.
  FakeHost& exhaust() {
    path.set_rate_limits(kOneWrite);
    FakeHost& host = start_host();
    given = write();
    turn();
    first = host.next();
    second = write();
    third = write();
    ready = *kernel.queue(kTestUnitReady, FakeKernel::Data::None, 0);
    turn();
    return host;
  }
  std::uint64_t answer_next(FakeHost& host) {
    const auto slot = host.next();
    if (!slot) return 0;
    const std::uint64_t ticket = host.slot(*slot).cmd_id;
    host.answer(*slot);
    turn();
    return ticket;
  }

  std::uint64_t given = 0, second = 0, third = 0, ready = 0;
  std::optional<std::uint32_t> first;
};

TEST_F(LimitedPathTest, WhatIsBeyondTheLimitWaitsAndTheNextTurnIsKnown) {
  FakeHost& host = exhaust();
  ASSERT_TRUE(first);
  EXPECT_FALSE(host.next());
  EXPECT_EQ(path.in_flight(), 4u);
  EXPECT_EQ(path.submitted(), 1u);
  EXPECT_GT(path.turn_due_ns(), monotonic_ns() + kHour) << "4096 bytes at one a second";
  EXPECT_FALSE(path.turn()) << "a turn that is called again at once would spin";
  host.answer(*first);
  turn();
  EXPECT_EQ(kernel.finished(given)->status, 0);
  EXPECT_FALSE(host.next()) << "an answer makes no room in a limit";
  EXPECT_EQ(stats->throttled.get(), 0u) << "counted when it is over";
  EXPECT_EQ(kernel.fault(), "");
}

TEST_F(LimitedPathTest, LiftedLimitsLetEverythingThroughInItsOrder) {
  FakeHost& host = exhaust();
  host.answer(*first);
  path.set_rate_limits({});
  turn();
  EXPECT_EQ(path.turn_due_ns(), 0u);
  std::vector<std::uint64_t> order;
  for (int i = 0; i < 3; ++i) order.push_back(answer_next(host));
  EXPECT_TRUE(order[0] < order[1] && order[1] < order[2]) << "TEST UNIT READY is no write, and no earlier";
  for (const auto ticket : {second, third, ready}) EXPECT_EQ(kernel.finished(ticket)->status, 0);
  EXPECT_EQ(stats->throttled.get(), 3u);
  EXPECT_EQ(kernel.fault(), "");
}

TEST_F(LimitedPathTest, WhatIsNeitherReadNorWrittenIsNotLimited) {
  FakeHost& host = exhaust();
  kernel.queue_tmr(1, std::vector{second, third});
  turn();
  EXPECT_TRUE(host.next()) << "TEST UNIT READY, with no write before it any more";
  EXPECT_EQ(path.turn_due_ns(), 0u);
}

TEST_F(LimitedPathTest, AWaitForALimitIsNoSilenceOfTheHost) {
  FakeHost& host = exhaust();
  host.answer(*first);
  const PathLook seen = path.look();
  EXPECT_EQ(seen.in_flight, 3u);
  EXPECT_EQ(seen.with_host, 0u);
  EXPECT_EQ(seen.oldest.given_ns, 0u);
  EXPECT_NE(seen.oldest_waiting_ns, 0u) << "somebody must look when its time is over";
}

TEST_F(LimitedPathTest, TheWaitEndsWithBusyBeforeTheKernelsTimerFires) {
  FakeHost& host = exhaust();
  for (const auto start = monotonic_ns(); monotonic_ns() < start + 1000;) {
  }
  path.set_wait_limits({.timeout_ns = kHour, .busy_after_ns = 1});
  for (const auto ticket : {second, third, ready}) {
    ASSERT_TRUE(kernel.finished(ticket));
    EXPECT_EQ(kernel.finished(ticket)->status, kStatusBusy);
  }
  host.answer(*first);
  turn();
  EXPECT_EQ(path.turn_due_ns(), 0u);
  EXPECT_EQ(path.in_flight(), 0u);
  EXPECT_EQ(kernel.fault(), "");
}

TEST_F(LimitedPathTest, AnAbortEndsTheWait) {
  FakeHost& host = exhaust();
  kernel.queue_tmr(5, std::vector{second, third, ready});
  turn();
  for (const auto ticket : {second, third, ready})
    EXPECT_EQ(kernel.finished(ticket)->status, kStatusTaskAborted);
  EXPECT_EQ(path.turn_due_ns(), 0u);
  path.set_rate_limits({});
  turn();
  EXPECT_FALSE(host.next());
}

TEST_F(LimitedPathTest, ACommandThatIsReplayedWasCountedBefore) {
  exhaust();
  kill_host();
  FakeHost& next = start_host();
  const auto slot = next.next();
  ASSERT_TRUE(slot);
  next.answer(*slot);
  turn();
  EXPECT_EQ(kernel.finished(given)->status, 0);
  EXPECT_FALSE(next.next()) << "the others were never given to anybody";
}

TEST_F(LimitedPathTest, WithoutAHostOrHeldThereIsNoTurnToWaitFor) {
  exhaust();
  path.set_held(true);
  turn();
  EXPECT_EQ(path.turn_due_ns(), 0u);
  path.set_held(false);
  turn();
  EXPECT_NE(path.turn_due_ns(), 0u);
  kill_host();
  turn();
  EXPECT_EQ(path.turn_due_ns(), 0u);
}

}  // namespace
}  // namespace bulkhead::supervisor
