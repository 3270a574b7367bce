#include "supervisor/pump/rate_limits.h"

#include <gtest/gtest.h>

#include <limits>

namespace bulkhead::supervisor {
namespace {

constexpr std::uint64_t kMs = 1'000'000, kSecond = 1000 * kMs, kStart = 500 * kSecond;
using enum CommandKind;

// Offers commands without end from `from` to `to`, each as soon as the meter says; how many went on.
std::uint64_t went_on(RateMeter& meter, std::uint64_t from, std::uint64_t to, std::uint64_t bytes = 4096) {
  std::uint64_t count = 0;
  for (std::uint64_t now = from; now < to;) {
    const std::uint64_t again = meter.admit(Read, bytes, now);
    if (again == 0) {
      ++count;
    } else {
      EXPECT_GT(again, now) << "to try again at once is to spin";
      now = again;
    }
  }
  return count;
}

TEST(RateMeter, WithoutLimitsEverythingGoesOn) {
  RateMeter meter;
  EXPECT_FALSE(meter.limits_anything());
  for (int i = 0; i < 1'000'000; ++i) ASSERT_EQ(meter.admit(Write, 1 << 20, kStart), 0u);
  meter.set({}, kStart);
  EXPECT_FALSE(meter.limits_anything());
  EXPECT_EQ(meter.admit(Write, 1 << 20, kStart), 0u);
}

TEST(RateMeter, LetsTheBurstThroughAtOnceAndThenTheRate) {
  RateMeter meter;
  meter.set({.commands_per_second = 100, .burst_ms = 1000}, kStart);
  EXPECT_TRUE(meter.limits_anything());
  EXPECT_NEAR(static_cast<double>(went_on(meter, kStart, kStart + 1)), 100, 1);
  EXPECT_NEAR(static_cast<double>(went_on(meter, kStart + 1, kStart + 10 * kSecond)), 1000, 1);
}

TEST(RateMeter, SavesNoMoreThanOneBurst) {
  RateMeter meter;
  meter.set({.commands_per_second = 100, .burst_ms = 2000}, kStart);
  (void)went_on(meter, kStart, kStart + 5 * kSecond);
  const std::uint64_t later = kStart + 1000 * kSecond;
  EXPECT_NEAR(static_cast<double>(went_on(meter, later, later + 1)), 200, 1);
}

TEST(RateMeter, BytesAreLimitedByThemselves) {
  RateMeter meter;
  meter.set({.bytes_per_second = 1 << 20, .burst_ms = 1000}, kStart);
  EXPECT_NEAR(static_cast<double>(went_on(meter, kStart, kStart + 9 * kSecond, 65536)), 10 * 16, 1);
  EXPECT_NEAR(static_cast<double>(went_on(meter, kStart + 9 * kSecond, kStart + 18 * kSecond, 4096)), 9 * 256,
              16);
}

TEST(RateMeter, TheTighterOfTwoLimitsCounts) {
  RateMeter meter;
  meter.set({.commands_per_second = 10, .bytes_per_second = 1 << 20, .burst_ms = 1000}, kStart);
  EXPECT_NEAR(static_cast<double>(went_on(meter, kStart, kStart + 9 * kSecond, 512)), 100, 1);
  EXPECT_NEAR(static_cast<double>(went_on(meter, kStart + 9 * kSecond, kStart + 29 * kSecond, 1 << 20)), 20,
              1);
}

TEST(RateMeter, ACommandLargerThanTheBurstGoesOnAndIsPaidForAfterwards) {
  RateMeter meter;
  meter.set({.bytes_per_second = 4096, .burst_ms = 1000}, kStart);
  EXPECT_EQ(meter.admit(Write, 16 << 20, kStart), 0u);
  EXPECT_EQ(meter.admit(Write, 512, kStart), kStart + 4096 * kSecond - kSecond);
  EXPECT_EQ(meter.admit(Write, 512, kStart + 4095 * kSecond), 0u);
}

TEST(RateMeter, WhatReadsWritesNorUnmapsPasses) {
  RateMeter meter;
  meter.set({.commands_per_second = 1, .bytes_per_second = 1, .burst_ms = 1000}, kStart);
  (void)meter.admit(Read, 1 << 20, kStart);
  EXPECT_NE(meter.admit(Read, 512, kStart), 0u);
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(meter.admit(Other, 96, kStart), 0u);
    EXPECT_EQ(meter.admit(Flush, 0, kStart), 0u);
  }
}

TEST(RateMeter, AnUnmapIsACommandButNoBytes) {
  RateMeter meter;
  meter.set({.bytes_per_second = 1, .burst_ms = 1000}, kStart);
  (void)meter.admit(Read, 1 << 20, kStart);
  EXPECT_EQ(meter.admit(Unmap, 4096, kStart), 0u);
  EXPECT_EQ(meter.admit(Read, 0, kStart), 0u) << "nor is a command without data";
  meter.set({.commands_per_second = 1, .burst_ms = 1000}, kStart);
  (void)went_on(meter, kStart, kStart + 1);
  EXPECT_NE(meter.admit(Unmap, 4096, kStart), 0u);
}

TEST(RateMeter, AnotherLimitCountsAtOnceAndForgivesOldDebts) {
  RateMeter meter;
  meter.set({.commands_per_second = 1, .bytes_per_second = 1, .burst_ms = 1000}, kStart);
  (void)meter.admit(Read, 1 << 30, kStart);
  meter.set({.commands_per_second = 100, .bytes_per_second = 1 << 20, .burst_ms = 100}, kStart);
  EXPECT_EQ(meter.admit(Read, 4096, kStart + 1), 0u);
  meter.set({}, kStart);
  EXPECT_EQ(meter.admit(Read, 1 << 30, kStart), 0u);
  // And a limit that comes back remembers nothing of the first.
  meter.set({.commands_per_second = 100, .burst_ms = 100}, kStart);
  EXPECT_EQ(meter.admit(Read, 1 << 30, kStart), 0u);
}

TEST(RateMeter, TheSameLimitSetAgainGivesNothingAway) {
  RateMeter meter;
  const RateLimits limits{.commands_per_second = 100, .burst_ms = 1000};
  std::uint64_t count = 0;
  for (std::uint64_t i = 0; i < 100; ++i) {
    meter.set(limits, kStart + i * 10 * kMs);
    count += went_on(meter, kStart + i * 10 * kMs, kStart + (i + 1) * 10 * kMs);
  }
  EXPECT_NEAR(static_cast<double>(count), 200, 2) << "a burst, and a second's worth";
  meter.set({.bytes_per_second = 1, .burst_ms = 1000}, kStart);
  (void)meter.admit(Read, 4096, kStart);
  meter.set({.bytes_per_second = 1, .burst_ms = 1000}, kStart);
  EXPECT_NE(meter.admit(Read, 512, kStart + 4000 * kSecond), 0u) << "a debt larger than the burst is a debt";
}

TEST(RateMeter, NumbersAtTheirEnds) {
  RateMeter meter;
  constexpr std::uint64_t kMost = std::numeric_limits<std::uint64_t>::max();
  meter.set({.commands_per_second = kMost, .bytes_per_second = kMost, .burst_ms = 1'000'000}, kStart);
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(meter.admit(Write, 1u << 31, kStart), 0u);
  meter.set({.commands_per_second = 1, .bytes_per_second = 1, .burst_ms = 0}, kStart);
  EXPECT_EQ(meter.admit(Write, 1u << 31, kStart), 0u);
  EXPECT_EQ(meter.admit(Write, 1u << 31, kStart), kStart + (std::uint64_t{1} << 31) * kSecond);
}

}  // namespace
}  // namespace bulkhead::supervisor
