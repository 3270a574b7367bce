#include "handler-host/scsi/range_lock.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <functional>
#include <utility>
#include <vector>

namespace bulkhead::scsi {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using Mode = RangeLock::Mode;

struct Probe final : RangeLock::Waiter {
  void granted() noexcept override {
    if (log != nullptr) log->push_back(number);
    if (then) then();
  }
  RangeLock::Section section;
  int number = 0;
  std::vector<int>* log = nullptr;
  std::function<void()> then;
};

class RangeLockTest : public ::testing::Test {
 protected:
  Probe& probe() {
    Probe& made = probes_.emplace_back();
    made.number = static_cast<int>(probes_.size()) - 1;
    made.log = &granted;
    return made;
  }
  Probe& acquire(BlockRange range, Mode mode = Mode::Exclusive) {
    Probe& made = probe();
    (void)lock.acquire(made.section, range, made, mode);
    return made;
  }
  // Each round releases at least the oldest.
  void TearDown() override {
    for (std::size_t round = 0; round <= probes_.size() && lock.sections() > 0; ++round)
      for (Probe& each : probes_)
        if (each.section.held()) lock.release(each.section);
    EXPECT_EQ(lock.sections(), 0u);
  }

  RangeLock lock;
  std::vector<int> granted;  // by callback, in order

 private:
  std::deque<Probe> probes_;
};

TEST_F(RangeLockTest, AFreeRangeIsHeldAtOnceWithoutACallback) {
  EXPECT_TRUE(acquire({0, 8}).section.held());
  EXPECT_THAT(granted, IsEmpty());
}

TEST_F(RangeLockTest, NeighboursDoNotOverlap) {
  EXPECT_TRUE(acquire({0, 8}).section.held());
  EXPECT_TRUE(acquire({8, 16}).section.held());
}

TEST_F(RangeLockTest, AnOverlappingRangeWaitsUntilTheReleaseBeforeIt) {
  Probe& first = acquire({0, 8});
  Probe& second = acquire({7, 9});
  EXPECT_FALSE(second.section.held());
  lock.release(first.section);
  EXPECT_TRUE(second.section.held());
  EXPECT_THAT(granted, ElementsAre(1));
}

TEST_F(RangeLockTest, ALateRangeDoesNotOvertakeAWaitingOneItOverlaps) {
  Probe& first = acquire({0, 4});
  Probe& waiting = acquire({2, 8});
  Probe& late = acquire({6, 7});  // free as far as the first is concerned
  EXPECT_FALSE(late.section.held());
  lock.release(first.section);
  EXPECT_TRUE(waiting.section.held());
  EXPECT_FALSE(late.section.held());
}

TEST_F(RangeLockTest, AWaitingRangeIsNotStarvedByAStreamOfOthers) {
  Probe* holder = &acquire({0, 4});
  Probe& big = acquire({0, 100});
  for (std::uint64_t i = 0; i < 50; ++i) EXPECT_FALSE(acquire({i, i + 1}).section.held());
  lock.release(holder->section);
  EXPECT_TRUE(big.section.held());
  EXPECT_THAT(granted, ElementsAre(1));
}

TEST_F(RangeLockTest, AnEmptyRangeOverlapsNothing) {
  Probe& all = acquire({0, 100});
  EXPECT_TRUE(all.section.held());
  EXPECT_TRUE(acquire({5, 5}).section.held());
}

TEST_F(RangeLockTest, TheLastBlocksOfThe64BitSpaceAreARange) {
  EXPECT_TRUE(acquire({~std::uint64_t{0} - 1, ~std::uint64_t{0}}).section.held());
  EXPECT_FALSE(acquire({0, ~std::uint64_t{0}}).section.held());
}

TEST_F(RangeLockTest, AChainOfWaitersThatReleaseWhenGrantedIsNoDeepStack) {
  std::deque<Probe> chain(64);
  int deepest = 0;
  int depth = 0;
  Probe& first = acquire({0, 1});
  for (Probe& waiter : chain) {
    waiter.then = [this, &waiter, &depth, &deepest] {
      deepest = std::max(deepest, ++depth);
      lock.release(waiter.section);
      --depth;
    };
    EXPECT_FALSE(lock.acquire(waiter.section, BlockRange{0, 1}, waiter));
  }
  lock.release(first.section);
  EXPECT_EQ(deepest, 1);
  EXPECT_EQ(lock.sections(), 0u);
}

TEST_F(RangeLockTest, AGrantedWaiterMayTakeAnotherSectionBeforeTheReleaseReturns) {
  Probe& first = acquire({0, 1});
  Probe& second = acquire({0, 1});
  second.then = [this] { EXPECT_FALSE(acquire({0, 1}).section.held()); };
  lock.release(first.section);
  EXPECT_TRUE(second.section.held());
}

TEST_F(RangeLockTest, SharedSectionsHoldTogether) {
  EXPECT_TRUE(acquire({0, 8}, Mode::Shared).section.held());
  EXPECT_TRUE(acquire({4, 12}, Mode::Shared).section.held());
  EXPECT_THAT(granted, IsEmpty());
}

TEST_F(RangeLockTest, AnExclusiveSectionWaitsForAllThatShareBeforeIt) {
  Probe& first = acquire({0, 8}, Mode::Shared);
  Probe& second = acquire({0, 8}, Mode::Shared);
  Probe& alone = acquire({4, 5});
  lock.release(second.section);
  EXPECT_FALSE(alone.section.held());
  lock.release(first.section);
  EXPECT_TRUE(alone.section.held());
}

TEST_F(RangeLockTest, ThoseWhoShareDoNotOvertakeAWaitingExclusiveSectionAndAreGrantedTogether) {
  Probe& first = acquire({0, 8}, Mode::Shared);
  Probe& alone = acquire({4, 5});
  Probe& late = acquire({0, 8}, Mode::Shared);
  Probe& later = acquire({4, 8}, Mode::Shared);
  EXPECT_TRUE(acquire({5, 8}, Mode::Shared).section.held());
  EXPECT_FALSE(late.section.held());
  lock.release(first.section);
  ASSERT_TRUE(alone.section.held());
  lock.release(alone.section);
  EXPECT_TRUE(late.section.held());
  EXPECT_TRUE(later.section.held());
  EXPECT_THAT(granted, ElementsAre(1, 2, 3));
}

TEST_F(RangeLockTest, ACancelledWaiterIsNeverCalled) {
  Probe& first = acquire({0, 4});
  Probe& waiting = acquire({2, 8});
  lock.cancel(waiting.section);
  EXPECT_TRUE(waiting.section.idle());
  lock.release(first.section);
  EXPECT_THAT(granted, IsEmpty());
}

TEST_F(RangeLockTest, CancellingGrantsWhatWaitedForTheCancelledOneAlone) {
  Probe& first = acquire({0, 4});
  Probe& waiting = acquire({2, 8});
  Probe& behind_it = acquire({6, 7});
  Probe& behind_both = acquire({3, 7});
  lock.cancel(waiting.section);
  EXPECT_THAT(granted, ElementsAre(2));
  EXPECT_TRUE(behind_it.section.held());
  EXPECT_FALSE(behind_both.section.held());
  lock.release(first.section);
  EXPECT_FALSE(behind_both.section.held());
  lock.release(behind_it.section);
  EXPECT_THAT(granted, ElementsAre(2, 3));
}

TEST_F(RangeLockTest, ACancelledSectionCanBeUsedAgain) {
  Probe& first = acquire({0, 4});
  Probe& waiting = acquire({0, 4});
  lock.cancel(waiting.section);
  EXPECT_FALSE(lock.acquire(waiting.section, {0, 1}, waiting));
  lock.release(first.section);
  EXPECT_TRUE(waiting.section.held());
}

struct Wanted {
  BlockRange range;
  Mode mode = Mode::Exclusive;
};

// Every sequence of so many calls over three blocks: acquire any of the choices, release or cancel any
// section. After each call exactly those sections hold that no earlier one precedes which overlaps it and is
// not shared with it, and exactly the ones that became so were called back, oldest first.
class Exhaustive {
 public:
  Exhaustive(std::size_t length, std::vector<Wanted> choices)
      : length_(length), choices_(std::move(choices)) {}
  void run() { extend(); }
  std::size_t sequences = 0;

 private:
  struct Call {
    bool acquires;
    std::size_t what;  // range, or number of the section
  };

  void extend() {
    const auto left = replay();
    if (calls_.size() == length_) {
      ++sequences;
      return;
    }
    for (std::size_t i = 0; i < choices_.size(); ++i) {
      calls_.push_back({true, i});
      extend();
      calls_.pop_back();
    }
    for (const std::size_t section : left) {
      calls_.push_back({false, section});
      extend();
      calls_.pop_back();
    }
  }

  // Runs calls_ on a fresh lock, judging after each; returns who is there at the end.
  std::vector<std::size_t> replay() {
    RangeLock lock;
    std::deque<Probe> probes;
    std::vector<Wanted> ranges;
    std::vector<bool> present;
    std::vector<bool> should_hold;
    std::vector<int> called;
    for (const Call& call : calls_) {
      called.clear();
      std::vector<int> expected;
      if (call.acquires) {
        Probe& probe = probes.emplace_back();
        probe.number = static_cast<int>(probes.size()) - 1;
        probe.log = &called;
        ranges.push_back(choices_[call.what]);
        present.push_back(true);
        should_hold.push_back(rule(ranges, present, ranges.size() - 1));
        EXPECT_EQ(lock.acquire(probe.section, ranges.back().range, probe, ranges.back().mode),
                  should_hold.back());
      } else {
        present[call.what] = false;
        for (std::size_t i = 0; i < ranges.size(); ++i) {
          if (!present[i] || should_hold[i] || !rule(ranges, present, i)) continue;
          should_hold[i] = true;
          expected.push_back(static_cast<int>(i));
        }
        if (should_hold[call.what])
          lock.release(probes[call.what].section);
        else
          lock.cancel(probes[call.what].section);
      }
      EXPECT_EQ(called, expected);
      for (std::size_t i = 0; i < ranges.size(); ++i)
        EXPECT_EQ(probes[i].section.held(), present[i] && should_hold[i]);
    }
    std::vector<std::size_t> left;
    for (std::size_t i = 0; i < ranges.size(); ++i)
      if (present[i]) left.push_back(i);
    for (Probe& probe : probes) probe.log = nullptr;
    while (lock.sections() > 0)
      for (Probe& probe : probes)
        if (probe.section.held()) lock.release(probe.section);
    return left;
  }

  static bool rule(const std::vector<Wanted>& ranges, const std::vector<bool>& present, std::size_t which) {
    for (std::size_t i = 0; i < which; ++i) {
      const bool shared = ranges[i].mode == Mode::Shared && ranges[which].mode == Mode::Shared;
      if (present[i] && !shared && ranges[i].range.overlaps(ranges[which].range)) return false;
    }
    return true;
  }

  const std::size_t length_;
  const std::vector<Wanted> choices_;

  std::vector<Call> calls_;
};

TEST(RangeLockModel, EverySequenceOfSixCallsGrantsByTheRuleInOrderOfArrival) {
  Exhaustive model(6, {{{0, 1}}, {{1, 2}}, {{2, 3}}, {{0, 2}}, {{1, 3}}, {{0, 3}}});
  model.run();
  EXPECT_GT(model.sequences, 100'000u);
}

TEST(RangeLockModel, EverySequenceOfSixCallsWithSharedSectionsDoesSoToo) {
  Exhaustive model(
      6, {{{0, 2}}, {{1, 3}}, {{0, 2}, Mode::Shared}, {{1, 3}, Mode::Shared}, {{0, 3}, Mode::Shared}});
  model.run();
  EXPECT_GT(model.sequences, 50'000u);
}

}  // namespace
}  // namespace bulkhead::scsi
