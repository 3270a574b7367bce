// The supervisor is ended at every store to what outlives it, and the next one goes on: each command is
// answered exactly once, with its own data, and none is executed after its answer.
//
// The second test is a model checker over the real code: all orders in which initiator, host and deaths can
// follow each other, and in each of them all places where up to so many supervisors can die. States that were
// met before are not explored again. BULKHEAD_CRASHES and BULKHEAD_COMMANDS make it larger.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <unordered_set>
#include <vector>

#include "supervisor/pump/testing/crash_world.h"

namespace bulkhead::supervisor {
namespace {

using testing::CrashWorld;
using testing::Grants;
using testing::Work;

constexpr std::uint64_t kNever = ~std::uint64_t{0};

// In what is installed there is no place to die at; tools/check runs the test with asan.
#ifndef BULKHEAD_CRASH_POINTS
TEST(CrashPoints, AreInTheTestBuildsOnly) {
  GTEST_SKIP() << "run it with --config=asan";
}
#else

// A day in the life of a data path, everything once.
std::string live(const std::function<bool()>& dies, Grants grants = Grants::None) {
  CrashWorld world(dies, grants);
  world.initiator_sends(Work::Write);
  world.host_starts();
  world.initiator_sends(Work::Read);
  world.initiator_sends(Work::CompareAndWrite);
  if (world.with_host() > 1) world.host_answers(1);
  world.initiator_sends(Work::TooLarge);
  world.initiator_sends(Work::Write);
  world.initiator_sends(Work::AbortOldest);
  if (world.has_host()) world.host_dies();
  world.initiator_sends(Work::Read);
  world.host_starts();
  // What storage had begun for a supervisor that died begins anew.
  for (int i = 0; i < (grants == Grants::DirectReads ? 40 : 12); ++i) {
    if (!world.has_host()) world.host_starts();
    while (world.with_host() > 0) world.host_answers(world.with_host() - 1);
    if (world.storage_is_busy()) world.storage_answers(i % 2 != 0);
  }
  if (world.violation().empty() && world.unanswered() != 0) return "a command is never answered";
  return world.violation();
}

TEST(CrashPoints, SupervisorMayDieAtEveryOneOfThem) {
  std::uint64_t points = 0;
  ASSERT_EQ(live([&points] { return ++points == kNever; }), "");
  RecordProperty("crash_points", std::to_string(points));
  std::printf("crash points: %llu\n", static_cast<unsigned long long>(points));
  ASSERT_GT(points, 100u);
  for (std::uint64_t at = 1; at <= points; ++at) {
    std::uint64_t now = 0;
    EXPECT_EQ(live([&now, at] { return ++now == at; }), "") << "died at point " << at;
  }
}

// What is done by grant when the supervisor dies is done again, and not once more after it was answered.
void die_everywhere(Grants grants) {
  std::uint64_t points = 0;
  ASSERT_EQ(live([&points] { return ++points == kNever; }, grants), "");
  ASSERT_GT(points, 80u);
  for (std::uint64_t at = 1; at <= points; ++at) {
    std::uint64_t now = 0;
    EXPECT_EQ(live([&now, at] { return ++now == at; }, grants), "") << "died at point " << at;
  }
}
TEST(CrashPoints, SupervisorMayDieAtEveryOneOfThemWithGrants) {
  die_everywhere(Grants::All);
}
TEST(CrashPoints, SupervisorMayDieAtEveryOneOfThemWithReadsByStorage) {
  die_everywhere(Grants::DirectReads);
}

TEST(CrashPoints, SupervisorsMayDieEverySoOften) {
  for (std::uint64_t stride = 2; stride < 40; ++stride) {
    std::uint64_t now = 0;
    // Not for ever: somebody must get something done.
    const auto dies = [&now, stride] { return ++now % stride == 0 && now < 400; };
    EXPECT_EQ(live(dies), "") << stride;
    now = 0;
    EXPECT_EQ(live(dies, Grants::All), "") << stride << " with grants";
    now = 0;
    EXPECT_EQ(live(dies, Grants::DirectReads), "") << stride << " with reads by storage";
  }
}

// Long lives with many deaths, at random: rings come round, slots and pages are used again and again.
TEST(CrashPoints, LongLivesWithManyDeathsLoseNothing) {
  constexpr unsigned kSeeds = 40, kCommands = 250;
  constexpr std::size_t kAtOnce = 4;
  for (unsigned seed = 1; seed <= kSeeds; ++seed) {
    std::minstd_rand random(seed);
    CrashWorld world([&random] { return random() % 150 == 0; });
    unsigned sent = 0;
    while (world.violation().empty() && (sent < kCommands || world.unanswered() != 0)) {
      if (!world.has_host()) {
        world.host_starts();
      } else if (sent < kCommands && world.unanswered() < kAtOnce && random() % 2 == 0) {
        const Work work = random() % 2 == 0 ? Work::Read : Work::Write;
        const bool answer_too = world.with_host() > 0 && random() % 2 == 0;
        world.at_once([&] {
          if (answer_too) world.host_answers(random() % world.with_host());
          world.initiator_sends(work);
        });
        ++sent;
      } else if (world.with_host() > 0) {
        world.host_answers(random() % world.with_host());
      }
    }
    ASSERT_EQ(world.violation(), "") << "seed " << seed;
  }
}

// The choices of one run, and the way to the next one: depth first.
class Choices {
 public:
  std::uint32_t choose(std::uint32_t options) {
    if (at_ == trail_.size()) trail_.push_back({0, options});
    return trail_[at_++].taken;
  }
  // False: all have been tried.
  bool next() {
    trail_.resize(at_);
    at_ = 0;
    while (!trail_.empty() && trail_.back().taken + 1 == trail_.back().options) trail_.pop_back();
    if (trail_.empty()) return false;
    ++trail_.back().taken;
    return true;
  }
  // Is this still the beginning of an earlier run?
  [[nodiscard]] bool repeating() const { return at_ < trail_.size(); }
  [[nodiscard]] std::string text() const {
    std::string all;
    for (std::size_t i = 0; i < at_; ++i) all += std::to_string(trail_[i].taken);
    return all;
  }

 private:
  struct Choice {
    std::uint32_t taken, options;
  };
  std::vector<Choice> trail_;
  std::size_t at_ = 0;
};

struct Bounds {
  std::size_t commands;
  unsigned crashes;
  unsigned host_deaths;
  Grants grants;
};

// One run; empty: no violation (or everything from here on is known).
std::string explore(Choices& choices, const Bounds& bounds, std::unordered_set<std::uint64_t>& met) {
  constexpr std::array kChanges{Work::Write, Work::CompareAndWrite, Work::Read, Work::AbortOldest};
  constexpr std::array kReads{Work::Read, Work::Write, Work::AbortOldest, Work::Read};
  const auto& works = bounds.grants == Grants::DirectReads ? kReads : kChanges;
  unsigned crashes = 0, deaths = 0;
  std::size_t sent = 0;
  CrashWorld world(
      [&] {
        if (crashes == bounds.crashes || choices.choose(2) == 0) return false;
        ++crashes;
        return true;
      },
      bounds.grants);
  while (world.violation().empty()) {
    const std::uint64_t state = ((world.state_hash() * 31 + crashes) * 31 + deaths) * 31 + sent;
    if (!choices.repeating() && !met.insert(state).second) return {};
    enum class Step : std::uint8_t {
      Send,
      Start,
      AnswerOldest,
      AnswerNewest,
      AnswerAndSend,
      Die,
      Read,
      CantRead,
      Hold
    };
    std::vector<Step> steps;
    if (sent < bounds.commands) steps.push_back(Step::Send);
    if (!world.has_host()) steps.push_back(Step::Start);
    if (world.with_host() > 0) steps.push_back(Step::AnswerOldest);
    if (world.with_host() > 1) steps.push_back(Step::AnswerNewest);
    if (world.with_host() > 0 && sent < bounds.commands) steps.push_back(Step::AnswerAndSend);
    if (world.has_host() && deaths < bounds.host_deaths) steps.push_back(Step::Die);
    if (world.storage_is_busy()) steps.insert(steps.end(), {Step::Read, Step::CantRead});
    if (world.held() || world.storage_is_busy()) steps.push_back(Step::Hold);
    if (steps.empty()) return world.unanswered() == 0 ? std::string() : "a command is never answered";
    switch (steps[choices.choose(static_cast<std::uint32_t>(steps.size()))]) {
      case Step::Send:
        world.initiator_sends(works[sent++ % works.size()]);
        break;
      case Step::Start:
        world.host_starts();
        break;
      case Step::AnswerOldest:
        world.host_answers(0);
        break;
      case Step::AnswerNewest:
        world.host_answers(world.with_host() - 1);
        break;
      case Step::AnswerAndSend:
        world.at_once([&] {
          world.host_answers(0);
          world.initiator_sends(works[sent++ % works.size()]);
        });
        break;
      case Step::Die:
        ++deaths;
        world.host_dies();
        break;
      case Step::Read:
        world.storage_answers(true);
        break;
      case Step::CantRead:
        world.storage_answers(false);
        break;
      case Step::Hold:
        world.hold_host(!world.held());
        break;
    }
  }
  return world.violation();
}

unsigned from_environment(const char* name, unsigned otherwise) {
  const char* text = std::getenv(name);
  return text != nullptr ? static_cast<unsigned>(std::strtoul(text, nullptr, 10)) : otherwise;
}

void explore_all(Grants grants, unsigned most_crashes = ~0u) {
  const Bounds bounds{.commands = from_environment("BULKHEAD_COMMANDS", 2),
                      .crashes = std::min(from_environment("BULKHEAD_CRASHES", 2), most_crashes),
                      .host_deaths = 2,
                      .grants = grants};
  std::unordered_set<std::uint64_t> met;
  Choices choices;
  std::uint64_t runs = 0;
  do {
    ++runs;
    const std::string violation = explore(choices, bounds, met);
    ASSERT_EQ(violation, "") << "choices " << choices.text();
  } while (choices.next());
  std::printf("%u commands, %u crashes: %llu runs, %zu states\n", static_cast<unsigned>(bounds.commands),
              bounds.crashes, static_cast<unsigned long long>(runs), met.size());
  EXPECT_GT(met.size(), 50u);
}

TEST(CrashPoints, EveryOrderOfEventsWithEveryDeathKeepsThePromise) {
  explore_all(Grants::None);
}
TEST(CrashPoints, EveryOrderOfEventsWithEveryDeathKeepsThePromiseWithGrants) {
  explore_all(Grants::All);
}
TEST(CrashPoints, EveryOrderOfEventsWithEveryDeathKeepsThePromiseWithReadsByStorage) {
  // Storage and what holds a host make so many orders more that two deaths would take too long.
  explore_all(Grants::DirectReads, 1);
}
#endif

}  // namespace
}  // namespace bulkhead::supervisor
