#include "supervisor/device/watchdog.h"

#include <gtest/gtest.h>

namespace bulkhead::supervisor {
namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;
using std::chrono::seconds;
using Verdict = Watchdog::Verdict;
using Instant = Watchdog::Instant;

constexpr Instant kStart = 1000s;  // an arbitrary now

class WatchdogTest : public ::testing::Test {
 protected:
  // A host that got its oldest command at kStart.
  Watchdog::Seen host(nanoseconds answered = 0s) { return {kStart, false, answered}; }
  Watchdog::Seen with_slow_command(nanoseconds answered = 0s) { return {kStart, true, answered}; }

  // Looks whenever it is asked to, from kStart until `end`; `seen` tells what there is then. The time of the
  // first verdict of this kind, from kStart.
  template <class SeenAt>
  std::optional<nanoseconds> first(Verdict wanted, nanoseconds end, SeenAt seen) {
    for (Instant now = kStart; now <= kStart + end;) {
      const auto judgement = dog.judge(now, seen(now), limits);
      if (judgement.verdict == wanted) return now - kStart;
      if (judgement.verdict == Verdict::Kill || !judgement.look_again) return std::nullopt;
      EXPECT_GT(*judgement.look_again, now);
      now = *judgement.look_again;
    }
    return std::nullopt;
  }
  auto silent() {
    return [this](Instant) { return host(); };
  }

  WatchLimits limits = WatchLimits::of(30s, {}, {});
  Watchdog dog;
};

TEST(WatchLimits, AreWellInsideTheKernelsTimeout) {
  const auto usual = WatchLimits::of(30s, {}, {});
  EXPECT_EQ(usual.warn, 7500ms);
  EXPECT_EQ(usual.kill, 15s);
  EXPECT_EQ(usual.stuck, 27s);
  EXPECT_EQ(usual.slow, 60s) << "after the kernel gave the command up, so that it is not replayed";
  const auto small = WatchLimits::of(4s, {}, {});
  EXPECT_EQ(small.warn, 1s);
  EXPECT_EQ(small.kill, 2s);
  EXPECT_LT(small.stuck, 4s);
  EXPECT_GT(small.slow, 4s);
}

TEST(WatchLimits, DoNotGrowWithAVeryLongTimeoutButForSlowCommands) {
  const auto patient = WatchLimits::of(300s, {}, {});
  EXPECT_EQ(patient.warn, 7500ms);
  EXPECT_EQ(patient.kill, 15s);
  EXPECT_EQ(patient.stuck, 30s);
  EXPECT_EQ(patient.slow, 600s);
}

TEST(WatchLimits, WhereTheKernelWaitsForEverSoDoWe) {
  const auto none = WatchLimits::of(0s, {}, {});
  EXPECT_EQ(none.warn, 0s);
  EXPECT_EQ(none.kill, 0s);
  const auto asked_for = WatchLimits::of(0s, {}, 10s);
  EXPECT_EQ(asked_for.warn, 5s);
  EXPECT_EQ(asked_for.kill, 10s);
  EXPECT_EQ(asked_for.stuck, 20s);
  EXPECT_EQ(asked_for.slow, 40s);
}

TEST(WatchLimits, SettingsBeatTheDefaultsAndZeroMeansNever) {
  const auto set = WatchLimits::of(30s, 2s, 20s);
  EXPECT_EQ(set.warn, 2s);
  EXPECT_EQ(set.kill, 20s);
  EXPECT_EQ(set.stuck, 27s);
  EXPECT_EQ(WatchLimits::of(30s, {}, 4s).warn, 2s);
  EXPECT_EQ(WatchLimits::of(30s, {}, 40s).stuck, 40s) << "never before `kill`";
  const auto never = WatchLimits::of(30s, {}, 0s);
  EXPECT_EQ(never.kill, 0s);
  EXPECT_EQ(never.stuck, 0s);
  EXPECT_EQ(never.warn, 7500ms);
  EXPECT_EQ(WatchLimits::of(30s, 0s, {}).warn, 0s);
}

TEST_F(WatchdogTest, AnIdleHostIsNeitherJudgedNorLookedAtAgain) {
  const auto judgement = dog.judge(kStart, std::nullopt, limits);
  EXPECT_EQ(judgement.verdict, Verdict::Nothing);
  EXPECT_FALSE(judgement.look_again);
}

TEST_F(WatchdogTest, WithoutLimitsNobodyLooks) {
  limits = {};
  const auto judgement = dog.judge(kStart + 1000s, host(), limits);
  EXPECT_EQ(judgement.verdict, Verdict::Nothing);
  EXPECT_FALSE(judgement.look_again);
}

TEST_F(WatchdogTest, ASilentHostIsWarnedOfThenKilledEachOnTime) {
  EXPECT_EQ(first(Verdict::Warn, 60s, silent()), limits.warn);
  dog = {};
  std::optional<nanoseconds> killed;
  int warnings = 0;
  for (Instant now = kStart; !killed;) {
    const auto judgement = dog.judge(now, host(), limits);
    warnings += judgement.verdict == Verdict::Warn ? 1 : 0;
    if (judgement.verdict == Verdict::Kill) killed = now - kStart;
    now = *judgement.look_again;
  }
  EXPECT_EQ(killed, limits.kill);
  EXPECT_EQ(warnings, 1);
}

TEST_F(WatchdogTest, ACommandJustBelowItsLimitIsLeftAlone) {
  EXPECT_EQ(dog.judge(kStart + limits.warn - 1ns, host(), limits).verdict, Verdict::Nothing);
  dog = {};
  EXPECT_NE(dog.judge(kStart + limits.kill - 1ns, host(), limits).verdict, Verdict::Kill);
  dog = {};
  EXPECT_EQ(dog.judge(kStart + limits.kill, host(), limits).verdict, Verdict::Kill);
}

TEST_F(WatchdogTest, AReplayedCommandIsYoungForItsNewHost) {
  EXPECT_EQ(dog.judge(kStart + limits.kill, host(), limits).verdict, Verdict::Kill);
  const Watchdog::Seen next{kStart + limits.kill, false, 0s};
  EXPECT_EQ(dog.judge(kStart + limits.kill + 1s, next, limits).verdict, Verdict::Nothing);
}

TEST_F(WatchdogTest, AHostThatAnswersOthersIsNotKilledForOneOldCommandBeforeItsTimeIsNearlyOver) {
  auto answers_others = [this](Instant now) { return host(now - 10ms); };
  EXPECT_EQ(first(Verdict::Kill, 100s, answers_others), limits.stuck);
}

TEST_F(WatchdogTest, AHostThatFallsSilentIsKilledSoLongAfterItsLastAnswer) {
  auto once_alive = [this](Instant now) { return host(std::min<Instant>(now, kStart + 5s)); };
  EXPECT_EQ(first(Verdict::Kill, 100s, once_alive), 5s + limits.kill);
}

TEST_F(WatchdogTest, SilenceBeforeTheCommandCameDoesNotCount) {
  EXPECT_EQ(dog.judge(kStart + 1s, host(kStart - 1000s), limits).verdict, Verdict::Nothing);
}

TEST_F(WatchdogTest, AHostUnderLoadWhoseCommandsAreAllYoungIsNeverSuspected) {
  auto busy = [](Instant now) { return Watchdog::Seen{now - 1s, false, now - 100ms}; };
  EXPECT_EQ(first(Verdict::Warn, 1000s, busy), std::nullopt);
}

TEST_F(WatchdogTest, ASlowCommandOfAHostThatAnswersOthersMayTakeForEver) {
  auto formats = [this](Instant now) { return with_slow_command(now - 1s); };
  EXPECT_EQ(first(Verdict::Kill, 3600s, formats), std::nullopt);
  dog = {};
  EXPECT_TRUE(first(Verdict::Warn, 3600s, formats)) << "but it is told";
}

TEST_F(WatchdogTest, ASlowCommandAloneIsGivenMoreThanTheKernelGivesIt) {
  auto formats = [this](Instant) { return with_slow_command(); };
  const auto killed = first(Verdict::Kill, 3600s, formats);
  ASSERT_TRUE(killed);
  EXPECT_GE(*killed, limits.slow);
  EXPECT_LE(*killed, limits.slow + 2s);
}

TEST_F(WatchdogTest, AfterASlowCommandTheOthersAreJudgedAsUsual) {
  const Watchdog::Seen behind_it{kStart + 50s, false, kStart + 50s};
  auto slow_first = [&](Instant now) { return now < kStart + 50s ? with_slow_command() : behind_it; };
  EXPECT_EQ(first(Verdict::Kill, 3600s, slow_first), 50s + limits.kill);
}

TEST_F(WatchdogTest, AfterWeStoodStillTheHostHasTheTimeThatItHadBefore) {
  ASSERT_EQ(dog.judge(kStart + 1s, host(), limits).verdict, Verdict::Nothing);
  // Stopped for ten minutes; on waking up everybody looks silent.
  const auto awake = dog.judge(kStart + 601s, host(), limits);
  EXPECT_EQ(awake.verdict, Verdict::Nothing);
  ASSERT_TRUE(awake.look_again);
  EXPECT_GT(*awake.look_again, kStart + 601s);
  // A host that is alive has answered by the next look; one that is not is found out all the same.
  std::optional<nanoseconds> killed;
  for (Instant now = *awake.look_again; !killed && now < kStart + 700s;) {
    const auto judgement = dog.judge(now, host(), limits);
    if (judgement.verdict == Verdict::Kill) killed = now - kStart - 601s;
    now = *judgement.look_again;
  }
  ASSERT_TRUE(killed);
  EXPECT_LE(*killed, limits.kill);
  EXPECT_GE(*killed, limits.kill - 3s) << "less what it had used up, and a round";
}

TEST_F(WatchdogTest, EachOfSeveralDelaysIsForgiven) {
  auto look = dog.judge(kStart, host(), limits);
  for (int i = 0; i < 5; ++i) {
    look = dog.judge(*look.look_again + 100s, host(), limits);
    EXPECT_NE(look.verdict, Verdict::Kill);
  }
}

TEST_F(WatchdogTest, ADelayBeforeTheCommandCameDoesNotHelpIt) {
  (void)dog.judge(kStart, host(), limits);
  (void)dog.judge(kStart + 500s, host(), limits);
  const Instant given = kStart + 500s;
  std::optional<nanoseconds> killed;
  for (Instant now = given; !killed && now < given + 100s;) {
    const auto judgement = dog.judge(now, Watchdog::Seen{given, false, given}, limits);
    if (judgement.verdict == Verdict::Kill) killed = now - given;
    now = *judgement.look_again;
  }
  EXPECT_EQ(killed, limits.kill);
}

TEST_F(WatchdogTest, SmallDelaysAreUsualAndForgiveNothing) {
  std::optional<nanoseconds> killed;
  for (Instant now = kStart; !killed && now < kStart + 100s;) {
    const auto judgement = dog.judge(now, host(), limits);
    if (judgement.verdict == Verdict::Kill) killed = now - kStart;
    now = *judgement.look_again + 100ms;
  }
  ASSERT_TRUE(killed);
  EXPECT_LE(*killed, limits.kill + 200ms);
}

}  // namespace
}  // namespace bulkhead::supervisor
