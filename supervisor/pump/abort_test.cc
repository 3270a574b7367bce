// Commands that the kernel has aborted, on their way through the data path.
#include <gtest/gtest.h>

#include <vector>

#include "supervisor/pump/testing/data_path_fixture.h"

namespace bulkhead::supervisor {
namespace {

using namespace testing;

TEST_F(DataPathTest, AbortedCommandOfTheHostsIsToldAndEndsWhenTheHostAnswers) {
  FakeHost& host = start_host();
  const auto other = kernel.queue(kTestUnitReady, FakeKernel::Data::None, 0);
  const auto ticket = kernel.queue(kWrite10, FakeKernel::Data::Out, 4096, pattern(4096));
  turn();
  const auto first = host.next(), second = host.next();
  kernel.queue_tmr(1, std::vector{*ticket});
  turn();
  ASSERT_EQ(managed.size(), 1u);
  EXPECT_EQ(managed[0].function, TaskFunction::AbortTask);
  EXPECT_EQ(managed[0].answered, 0u);
  ASSERT_EQ(managed[0].with_host.size(), 1u);
  EXPECT_EQ(managed[0].with_host[0].slot.value, *second);
  EXPECT_EQ(managed[0].with_host[0].generation, host.slot(*second).generation);
  EXPECT_FALSE(kernel.finished(*ticket)) << "answered while the host may write its buffer";
  host.answer(*second, 0x40);
  host.answer(*first);
  turn();
  EXPECT_EQ(kernel.finished(*ticket)->status, 0x40);
  EXPECT_EQ(kernel.finished(*other)->status, 0);
  EXPECT_EQ(stats->aborts.get(), 1u);
  EXPECT_EQ(stats->aborted_commands.get(), 1u);
  EXPECT_EQ(stats->resets.get(), 0u);
  EXPECT_EQ(kernel.fault(), "");
}

TEST_F(DataPathTest, AbortedCommandThatNoHostHasIsAnsweredAtOnceAndNeverGivenToOne) {
  std::vector<std::uint64_t> tickets;
  for (int i = 0; i < 3; ++i) tickets.push_back(*kernel.queue(kTestUnitReady, FakeKernel::Data::None, 0));
  turn();
  // The oldest, which the next host would be given first, and the newest.
  kernel.queue_tmr(5, std::vector{tickets[0], tickets[2]});
  turn();
  EXPECT_EQ(kernel.finished(tickets[0])->status, 0x40);
  EXPECT_EQ(kernel.finished(tickets[2])->status, 0x40);
  ASSERT_EQ(managed.size(), 1u);
  EXPECT_EQ(managed[0].answered, 2u);
  EXPECT_EQ(stats->resets.get(), 1u);
  EXPECT_EQ(stats->aborts.get(), 0u);
  FakeHost& host = start_host();
  const auto slot = host.next();
  ASSERT_TRUE(slot);
  EXPECT_FALSE(host.next());
  host.answer(*slot);
  turn();
  EXPECT_EQ(kernel.finished(tickets[1])->status, 0);
  EXPECT_EQ(kernel.fault(), "");
}

TEST_F(DataPathTest, ACommandThatArrivesTogetherWithItsAbortNeverReachesTheHost) {
  FakeHost& host = start_host();
  const auto ticket = kernel.queue(kTestUnitReady, FakeKernel::Data::None, 0);
  kernel.queue_tmr(1, std::vector{*ticket});
  const auto next = kernel.queue(kTestUnitReady, FakeKernel::Data::None, 0);
  turn();
  EXPECT_EQ(kernel.finished(*ticket)->status, 0x40);
  host.answer(*host.next());
  EXPECT_FALSE(host.next());
  turn();
  EXPECT_EQ(kernel.finished(*next)->status, 0);
}

TEST_F(DataPathTest, AnAbortedCommandIsNotReplayedWhenItsHostDies) {
  FakeHost& host = start_host();
  const auto ticket = kernel.queue(kRead10, FakeKernel::Data::In, 4096);
  const auto other = kernel.queue(kRead10, FakeKernel::Data::In, 4096);
  turn();
  while (host.next()) {
  }
  kernel.queue_tmr(1, std::vector{*ticket});
  kernel.queue_tmr(5, std::vector{*ticket});
  turn();
  kill_host();
  EXPECT_EQ(kernel.finished(*ticket)->status, 0x40);
  EXPECT_FALSE(kernel.finished(*other));
  EXPECT_EQ(stats->aborted_commands.get(), 1u) << "named twice, aborted once";
  FakeHost& next = start_host();
  next.answer(*next.next(), 0, 4096);
  EXPECT_FALSE(next.next());
  turn();
  EXPECT_EQ(kernel.finished(*other)->status, 0);
  EXPECT_EQ(stats->replayed.get(), 1u);
}

TEST_F(DataPathTest, AnAbortOfACommandAlreadyAnsweredTouchesNothing) {
  FakeHost& host = start_host();
  const auto ticket = kernel.queue(kTestUnitReady, FakeKernel::Data::None, 0);
  turn();
  host.answer(*host.next());
  turn();
  kernel.queue_tmr(1, std::vector{*ticket});
  turn();
  ASSERT_EQ(managed.size(), 1u);
  EXPECT_TRUE(managed[0].with_host.empty());
  EXPECT_EQ(stats->aborted_commands.get(), 0u);
  EXPECT_EQ(kernel.tail(), kernel.head());
  EXPECT_EQ(kernel.fault(), "");
}

}  // namespace
}  // namespace bulkhead::supervisor
