// How waits end: by a host, by BUSY in time, by a refusal; and that nothing is run after the kernel gave it
// up.
#include <gtest/gtest.h>

#include <vector>

#include "supervisor/pump/monotonic.h"
#include "supervisor/pump/testing/data_path_fixture.h"

namespace bulkhead::supervisor {
namespace {

using namespace testing;

constexpr std::uint64_t kHour = 3'600'000'000'000;
// Every command that was taken in an earlier turn is older.
constexpr WaitLimits kOver{.timeout_ns = 1};
constexpr WaitLimits kWaitedLongEnough{.timeout_ns = kHour, .busy_after_ns = 1};
constexpr WaitLimits kFarFromOver{.timeout_ns = kHour, .busy_after_ns = kHour / 10 * 9};
constexpr WaitLimits kRefused{.timeout_ns = kHour, .refuse = true};

class WaitingTest : public DataPathTest {
 protected:
  std::uint64_t write() { return *kernel.queue(kWrite10, FakeKernel::Data::Out, 4096, pattern(4096)); }
  // Time passes: what was taken before is older than a nanosecond.
  static void wait_a_moment() {
    for (const auto start = monotonic_ns(); monotonic_ns() < start + 1000;) {
    }
  }
};

TEST_F(WaitingTest, ACommandOlderThanTheKernelsTimeoutNeverReachesAHost) {
  const auto held = write();
  turn();
  wait_a_moment();
  path.set_wait_limits(kOver);
  FakeHost& host = start_host();
  EXPECT_FALSE(host.next()) << "a late write may undo its own retry";
  ASSERT_TRUE(kernel.finished(held)) << "the kernel keeps id and buffers until it is answered";
  EXPECT_EQ(kernel.finished(held)->status, kStatusBusy);
  EXPECT_EQ(stats->expired.get(), 1u);
  EXPECT_EQ(kernel.fault(), "");
}

TEST_F(WaitingTest, WithoutATimeoutEveryCommandIsRunHoweverOld) {
  const auto held = write();
  turn();
  wait_a_moment();
  path.set_wait_limits(WaitLimits::of(0));
  (void)path.look();
  FakeHost& host = start_host();
  const auto slot = host.next();
  ASSERT_TRUE(slot);
  host.answer(*slot);
  turn();
  EXPECT_EQ(kernel.finished(held)->status, 0);
  EXPECT_EQ(stats->expired.get(), 0u);
}

TEST_F(WaitingTest, ACommandThatFitsItsTimeIsRun) {
  path.set_wait_limits(WaitLimits::of(30));
  const auto held = write();
  turn();
  (void)path.look();
  EXPECT_FALSE(kernel.finished(held));
  FakeHost& host = start_host();
  EXPECT_TRUE(host.next());
}

TEST_F(WaitingTest, WhatTheDeadHostHadForLongerThanTheTimeoutIsAnsweredNotReplayed) {
  FakeHost& host = start_host();
  const auto old = write();
  turn();
  ASSERT_TRUE(host.next());
  wait_a_moment();
  path.set_wait_limits(kOver);
  EXPECT_FALSE(kernel.finished(old)) << "answered while the host may write its buffer";
  kill_host();
  ASSERT_TRUE(kernel.finished(old));
  EXPECT_EQ(kernel.finished(old)->status, kStatusBusy);
  EXPECT_EQ(stats->expired.get(), 1u);
  EXPECT_FALSE(start_host().next());
  EXPECT_EQ(stats->replayed.get(), 0u);
}

TEST_F(WaitingTest, AnOldCommandThatMayNotRunTwiceStillSaysThatItWasAborted) {
  FakeHost& host = start_host();
  const auto old = *kernel.queue(kCompareAndWrite, FakeKernel::Data::Out, 4096, pattern(4096));
  turn();
  ASSERT_TRUE(host.next());
  wait_a_moment();
  path.set_wait_limits(kOver);
  kill_host();
  ASSERT_TRUE(kernel.finished(old));
  EXPECT_EQ(kernel.finished(old)->status, kStatusCheckCondition) << "BUSY would say that it had not run";
  EXPECT_EQ(kernel.finished(old)->sense[2], 0x0b);
}

TEST_F(WaitingTest, AWaitIsEndedWithBusyBeforeTheKernelsTimerFires) {
  const auto waits = write();
  turn();
  path.set_wait_limits(kFarFromOver);
  (void)path.look();
  EXPECT_FALSE(kernel.finished(waits));
  wait_a_moment();
  path.set_wait_limits(kWaitedLongEnough);
  ASSERT_TRUE(kernel.finished(waits));
  EXPECT_EQ(kernel.finished(waits)->status, kStatusBusy);
  EXPECT_EQ(stats->expired.get(), 0u) << "in time, so its initiator has seen the BUSY";
  EXPECT_EQ(path.in_flight(), 0u);
}

TEST_F(WaitingTest, HeldCommandsGetBusyInTimeWhileTheHostsGoOn) {
  FakeHost& host = start_host();
  const auto with_host = write();
  turn();
  const auto slot = host.next();
  path.set_held(true);
  const auto held = write();
  turn();
  wait_a_moment();
  path.set_wait_limits(kWaitedLongEnough);
  ASSERT_TRUE(kernel.finished(held));
  EXPECT_EQ(kernel.finished(held)->status, kStatusBusy);
  EXPECT_FALSE(kernel.finished(with_host)) << "the host may still write its buffer";
  host.answer(*slot);
  turn();
  EXPECT_EQ(kernel.finished(with_host)->status, 0);
}

// Nothing else would give the path another turn.
TEST_F(WaitingTest, RefusedCommandsThatHaveNoRoomTogetherAreAnsweredAtOnceToo) {
  path.set_wait_limits(kRefused);
  std::vector<std::uint64_t> tickets;
  for (std::uint32_t i = 0; i < 2 * kSize.slots; ++i) tickets.push_back(write());
  turn();
  for (const auto ticket : tickets) EXPECT_TRUE(kernel.finished(ticket));
}

TEST_F(WaitingTest, RefusedCommandsAreNotReadyAtOnceAndUntilAHostIsThere) {
  const auto waited = write();
  turn();
  path.set_wait_limits(kRefused);
  const auto came = *kernel.queue(kRead10, FakeKernel::Data::In, 4096);
  turn();
  for (const auto ticket : {waited, came}) {
    ASSERT_TRUE(kernel.finished(ticket));
    EXPECT_EQ(kernel.finished(ticket)->status, kStatusCheckCondition);
    EXPECT_EQ(kernel.finished(ticket)->sense[2], 0x02);
    EXPECT_EQ(kernel.finished(ticket)->sense[12], 0x08);
  }
  FakeHost& host = start_host();
  const auto served = write();
  turn();
  const auto slot = host.next();
  ASSERT_TRUE(slot) << "a host is there: nothing is refused";
  host.answer(*slot);
  turn();
  EXPECT_EQ(kernel.finished(served)->status, 0);
  EXPECT_EQ(kernel.fault(), "");
}

TEST_F(WaitingTest, AnEndedWaitLeavesNoTraceInTheOrderOfSubmission) {
  path.set_wait_limits(kRefused);
  (void)write();
  (void)write();
  turn();
  path.set_wait_limits(kFarFromOver);
  const auto next = write();
  turn();
  FakeHost& host = start_host();
  const auto slot = host.next();
  ASSERT_TRUE(slot);
  EXPECT_FALSE(host.next());
  host.answer(*slot);
  turn();
  EXPECT_EQ(kernel.finished(next)->status, 0);
}

TEST_F(WaitingTest, TheWaitForRoomInTheTableCounts) {
  FakeHost& host = start_host();
  for (std::uint32_t i = 0; i < kSize.slots; ++i)
    ASSERT_TRUE(kernel.queue(kTestUnitReady, FakeKernel::Data::None, 0));
  const auto no_room = *kernel.queue(kTestUnitReady, FakeKernel::Data::None, 0);
  turn();
  wait_a_moment();
  const auto seen = monotonic_ns();
  path.set_held(true);
  host.answer(*host.next());
  turn();
  const PathLook look = path.look();
  EXPECT_NE(look.oldest_waiting_ns, 0u);
  EXPECT_LT(look.oldest_waiting_ns, seen) << "it was in the ring before there was room";
  EXPECT_FALSE(kernel.finished(no_room));
}

TEST_F(WaitingTest, BusyIsToldOnceUntilALookFindsNothing) {
  FakeHost& host = start_host();
  EXPECT_EQ(busy_calls, 0);
  (void)write();
  turn();
  (void)write();
  turn();
  EXPECT_EQ(busy_calls, 1);
  host.answer(*host.next());
  host.answer(*host.next());
  turn();
  EXPECT_EQ(path.look().in_flight, 0u);
  (void)write();
  turn();
  EXPECT_EQ(busy_calls, 2);
  EXPECT_EQ(path.look().in_flight, 1u);
  turn();
  EXPECT_EQ(busy_calls, 2) << "whoever looked knows";
}

TEST_F(WaitingTest, ALookTellsWhatTheHostHasAndSinceWhenAReplayBeginsAnew) {
  FakeHost& host = start_host();
  const auto before = monotonic_ns();
  (void)write();
  turn();
  PathLook look = path.look();
  EXPECT_EQ(look.with_host, 1u);
  EXPECT_EQ(look.oldest.cdb[0], kWrite10[0]);
  EXPECT_EQ(look.oldest.cdb_bytes, kWrite10.size());
  EXPECT_FALSE(look.oldest_is_slow);
  EXPECT_GE(look.oldest.given_ns, before);
  EXPECT_EQ(look.oldest_waiting_ns, 0u);
  EXPECT_LT(look.host_answered_ns, before);
  ASSERT_TRUE(host.next());
  wait_a_moment();
  kill_host();
  look = path.look();
  EXPECT_EQ(look.with_host, 0u);
  EXPECT_EQ(look.oldest.given_ns, 0u);
  EXPECT_NE(look.oldest_waiting_ns, 0u);
  const auto death = monotonic_ns();
  FakeHost& next = start_host();
  EXPECT_GE(path.look().oldest.given_ns, death) << "a replayed command is young for its new host";
  next.answer(*next.next());
  turn();
  EXPECT_GE(path.look().host_answered_ns, death);
}

TEST_F(WaitingTest, OnlyWhatAHostHadCountsAsTimeInTheHost) {
  (void)write();
  turn();
  wait_a_moment();
  path.set_wait_limits({.refuse = true});
  EXPECT_GT(stats->latency.quantile(1000), 0u);
  EXPECT_EQ(stats->host_latency.quantile(1000), 0u);
  path.set_wait_limits({});
  FakeHost& host = start_host();
  (void)write();
  turn();
  wait_a_moment();
  host.answer(*host.next());
  turn();
  EXPECT_GT(stats->host_latency.quantile(1000), 0u);
}

TEST_F(WaitingTest, ALookKnowsWhatMayTakeLong) {
  start_host();
  const std::array<std::uint8_t, 10> sanitize{0x48};
  ASSERT_TRUE(kernel.queue(sanitize, FakeKernel::Data::None, 0));
  turn();
  EXPECT_TRUE(path.look().oldest_is_slow);
}

}  // namespace
}  // namespace bulkhead::supervisor
