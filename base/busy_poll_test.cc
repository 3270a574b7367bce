#include "base/busy_poll.h"

#include <gtest/gtest.h>

namespace bulkhead {
namespace {

using std::chrono::microseconds;

TEST(BusyPoll, SeesWhatComesWhileItLooks) {
  BusyPoll poll(std::chrono::seconds(20));
  int looks = 0;
  EXPECT_TRUE(poll.wait([&looks] { return ++looks == 100; }));
  EXPECT_EQ(looks, 100);
}

TEST(BusyPoll, WithoutALimitDoesNotLookAtAll) {
  BusyPoll poll(microseconds(0));
  EXPECT_FALSE(poll.wait([] { return true; }));
}

// How many of the next `waits` are tried at all, when nothing ever comes.
int tried(BusyPoll& poll, int waits) {
  int result = 0;
  for (int i = 0; i < waits; ++i) {
    bool looked = false;
    EXPECT_FALSE(poll.wait([&looked] {
      looked = true;
      return false;
    }));
    result += looked ? 1 : 0;
  }
  return result;
}

TEST(BusyPoll, TriesEverLessOftenWhatIsInVain) {
  BusyPoll poll(microseconds(1));
  EXPECT_EQ(tried(poll, 4), 2);  // 1, skip 1, 1, skip 3
  EXPECT_LE(tried(poll, 1000), 12);
  EXPECT_GE(tried(poll, 1000), 3);  // but it does not give up
}

TEST(BusyPoll, TriesAgainOftenOnceItPays) {
  BusyPoll poll(microseconds(1));
  (void)tried(poll, 5000);
  int successes = 0;
  for (int i = 0; i < 400; ++i) successes += poll.wait([] { return true; }) ? 1 : 0;
  EXPECT_GE(successes, 400 - 255);
  EXPECT_TRUE(poll.wait([] { return true; }));
}

}  // namespace
}  // namespace bulkhead
