// Somebody writes to the device's action/reset_ring while it is served: the kernel ends its commands with
// BUSY, gives their blocks to others and begins its ring at 0 again, and tells nobody.
#include <gtest/gtest.h>

#include <functional>
#include <vector>

#include "supervisor/journal/crash_point.h"
#include "supervisor/pump/testing/data_path_fixture.h"

namespace bulkhead::supervisor {
namespace {

using testing::DataPathTest;
using testing::FakeHost;
using testing::FakeKernel;
using testing::kPages;
using testing::kRead10;
using testing::kSize;
using testing::kTestUnitReady;

constexpr std::size_t kBlock = 4096;

class RingResetTest : public DataPathTest {
 protected:
  [[nodiscard]] int status(std::uint64_t ticket) {
    const auto end = kernel.finished(ticket);
    return end ? end->status : -1;
  }
  std::uint64_t read_block(std::uint8_t lba) {
    const std::vector<std::uint8_t> cdb{0x28, 0, 0, 0, 0, lba, 0, 0, 1, 0};
    return kernel.queue(cdb, FakeKernel::Data::In, kBlock).value();
  }
  std::uint64_t write_block(std::uint8_t lba, std::uint8_t byte) {
    const std::vector<std::uint8_t> cdb{0x2a, 0, 0, 0, 0, lba, 0, 0, 1, 0};
    return kernel.queue(cdb, FakeKernel::Data::Out, kBlock, std::vector<std::uint8_t>(kBlock, byte)).value();
  }
  std::uint64_t test_unit_ready() { return kernel.queue(kTestUnitReady, FakeKernel::Data::None, 0).value(); }
  // The kernel's tail is not where a reset puts it.
  FakeHost& start_host_past_the_beginning() {
    FakeHost& host = start_host();
    test_unit_ready();
    turn();
    host.answer(host.next().value());
    turn();
    return host;
  }
};

TEST_F(RingResetTest, AtTheRingsBeginningWhatWaitedIsNotGivenToAHostThatComesBeforeATurn) {
  write_block(0, 0xaa);
  turn();
  kernel.reset();
  write_block(9, 0x99);
  EXPECT_FALSE(start_host().next());
  EXPECT_NE(ring_error, "");
}

TEST_F(RingResetTest, WhatWaitedForAHostIsNotGivenToTheNextOneWithOthersData) {
  start_host_past_the_beginning();
  kill_host();
  const auto waiting = write_block(0, 0xaa);
  turn();
  kernel.reset();
  EXPECT_EQ(status(waiting), 8);
  write_block(9, 0x99);  // into the same blocks
  turn();
  EXPECT_NE(ring_error, "");
  EXPECT_FALSE(start_host().next());
}

TEST_F(RingResetTest, AtTheRingsBeginningNoAnswerFollowsStrangeEntries) {
  FakeHost& host = start_host();
  test_unit_ready();
  test_unit_ready();
  turn();
  const auto first = host.next().value(), second = host.next().value();
  kernel.reset();
  kernel.queue(kRead10, FakeKernel::Data::In, 16 * kBlock, {}, 2);  // a longer entry, then nothing
  host.answer(first);
  host.answer(second);
  turn();
  EXPECT_NE(ring_error, "");
  EXPECT_EQ(kernel.fault(), "");
}

TEST_F(RingResetTest, AtTheRingsBeginningAnAnswerDoesNotReachAnotherCommand) {
  FakeHost& host = start_host();
  read_block(0);
  turn();
  const auto slot = host.next().value();
  kernel.reset();
  const auto other = read_block(9);  // the same place, blocks and cmd_id
  std::ranges::fill(host.buffer(slot), std::byte{0x11});
  host.answer(slot, 0, kBlock);
  turn();
  EXPECT_EQ(status(other), -1);
  EXPECT_NE(ring_error, "");
}

TEST_F(RingResetTest, AtTheRingsBeginningAnEmptyRingIsNotAnsweredPastItsHead) {
  FakeHost& host = start_host();
  test_unit_ready();
  turn();
  kernel.reset();
  host.answer(host.next().value());
  turn();
  EXPECT_EQ(kernel.tail(), 0u);
  EXPECT_NE(ring_error, "");
  EXPECT_EQ(kernel.fault(), "");
}

TEST_F(RingResetTest, WhatAHostHasReadDoesNotOverwriteAnothersData) {
  FakeHost& host = start_host_past_the_beginning();
  read_block(0);
  turn();
  const auto slot = host.next().value();
  kernel.reset();
  write_block(9, 0x99);
  const std::size_t data_at = kernel.region().size() - 256 * kBlock;
  std::ranges::fill(host.buffer(slot), std::byte{0x11});
  host.answer(slot, 0, kBlock);
  turn();
  EXPECT_EQ(kernel.region()[data_at], std::byte{0x99});
  EXPECT_NE(ring_error, "");
}

#ifdef BULKHEAD_CRASH_POINTS
int points_left = 0;
std::move_only_function<void()> at_the_point;

// Wherever it comes: no request is taken for an answer, and the kernel finds nothing to complain of.
class ResetWithinATurn : public RingResetTest, public ::testing::WithParamInterface<bool> {};

TEST_P(ResetWithinATurn, MayComeBetweenAnyTwoStores) {
  bool came = true;
  for (int point = 1; came; ++point) {
    FakeKernel fresh({.ring_bytes = 8192, .data_blocks = 256, .read_len = true});
    const auto records = Journal::create(kSize.slots, kPages).value();
    DataPath served(CommandRing::attach(fresh.region(), records->cursors()).value(), records,
                    std::make_shared<DeviceStats>(), *this, [&] { fresh.kick(); });
    auto ends = Channel::create(kSize).value();
    served.attach(std::move(ends.channel));
    FakeHost host(std::move(ends.host));
    auto serve = [&] {
      (void)fresh.queue(kTestUnitReady, FakeKernel::Data::None, 0);
      while (served.turn()) {
      }
      host.answer(host.next().value());
    };
    serve();
    if (GetParam()) {  // the tail is past the beginning
      while (served.turn()) {
      }
      serve();
    }
    std::uint64_t other = 0;
    const std::vector<std::uint8_t> start_unit{0x1b, 0, 0, 0, 1, 0};
    points_left = point;
    at_the_point = [&] {
      fresh.reset();
      other = fresh.queue(start_unit, FakeKernel::Data::None, 0).value();
    };
    crash_hook = [] {
      if (--points_left == 0) at_the_point();
    };
    while (served.turn()) {
    }
    crash_hook = nullptr;
    came = points_left <= 0;
    EXPECT_EQ(fresh.fault(), "") << "store " << point;
    if (!came) break;
    EXPECT_FALSE(fresh.finished(other)) << "store " << point << ": answered and not done";
  }
}
INSTANTIATE_TEST_SUITE_P(AtAndPastTheBeginning, ResetWithinATurn, ::testing::Bool());
#endif

}  // namespace
}  // namespace bulkhead::supervisor
