#include "test/storm/caw_counter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

namespace bulkhead::storm {
namespace {

using testing::HasSubstr;

constexpr std::size_t kBlock = 512;

// A block in memory that can be told to misbehave with the next command.
class FakeBlock : public CounterBlock {
 public:
  enum class Next { Obey, AbortUndone, AbortDone, AbortAndDoLater, DoTwice };

  bool write(std::span<const std::byte> data) override {
    std::memcpy(bytes_.data(), data.data(), kBlock);
    return true;
  }
  bool read(std::span<std::byte> data) override {
    std::memcpy(data.data(), bytes_.data(), kBlock);
    return readable_;
  }
  CawAnswer compare_and_write(std::span<const std::byte> expected, std::span<const std::byte> data) override {
    if (std::memcmp(bytes_.data(), expected.data(), kBlock) != 0) return CawAnswer::Miscompare;
    switch (std::exchange(next_, Next::Obey)) {
      case Next::Obey:
        write(data);
        return CawAnswer::Done;
      case Next::AbortUndone:
        return CawAnswer::Open;
      case Next::AbortDone:
        write(data);
        return CawAnswer::Open;
      case Next::AbortAndDoLater:
        later_.assign(data.begin(), data.end());
        return CawAnswer::Open;
      case Next::DoTwice:
        write(data);
        return CawAnswer::Miscompare;
    }
    return CawAnswer::Refused;
  }
  void do_what_was_given_up() { write(later_); }

  Next next_ = Next::Obey;
  bool readable_ = true;
  std::vector<std::byte> bytes_ = std::vector<std::byte>(kBlock);
  std::vector<std::byte> later_;
};

class CawCounterTest : public testing::Test {
 protected:
  CawCounterTest() { EXPECT_EQ(counter_.begin(), std::nullopt); }
  std::string step() { return counter_.step().value_or(""); }

  FakeBlock disk_;
  CawCounter counter_{disk_, {.run = 1, .device = 2, .block = 3}, kBlock};
};

TEST_F(CawCounterTest, CountsWhatIsDone) {
  for (int i = 0; i < 5; ++i) EXPECT_EQ(step(), "");
  EXPECT_EQ(counter_.report().done, 5U);
}

TEST_F(CawCounterTest, TakesAnOpenAnswerEitherWay) {
  disk_.next_ = FakeBlock::Next::AbortUndone;
  EXPECT_EQ(step() + step(), "");
  disk_.next_ = FakeBlock::Next::AbortDone;
  EXPECT_EQ(step() + step(), "");
  EXPECT_EQ(counter_.report().open, 2U);
  EXPECT_EQ(counter_.report().happened, 1U);
  EXPECT_EQ(counter_.report().done, 2U);
}

TEST_F(CawCounterTest, FindsACommandThatIsExecutedAfterItWasGivenUp) {
  disk_.next_ = FakeBlock::Next::AbortAndDoLater;
  EXPECT_EQ(step(), "");
  EXPECT_EQ(step(), "");  // has read that it did not happen, and moved on
  disk_.do_what_was_given_up();
  EXPECT_THAT(step(), HasSubstr("the counter is {"));
}

TEST_F(CawCounterTest, FindsACommandThatIsExecutedTwice) {
  // The second time it finds what it has written itself.
  disk_.next_ = FakeBlock::Next::DoTwice;
  EXPECT_THAT(step(), HasSubstr("MISCOMPARE"));
}

TEST_F(CawCounterTest, FindsAnOlderValue) {
  EXPECT_EQ(step(), "");
  const std::vector<std::byte> old = disk_.bytes_;
  EXPECT_EQ(step(), "");
  disk_.bytes_ = old;
  EXPECT_THAT(step(), HasSubstr("version 2}; expected"));
}

TEST_F(CawCounterTest, WaitsOutAReadThatFails) {
  disk_.readable_ = false;
  EXPECT_EQ(step(), "");
  disk_.readable_ = true;
  EXPECT_EQ(step(), "");
  EXPECT_EQ(counter_.report().errors, 1U);
  EXPECT_EQ(counter_.report().done, 1U);
}

}  // namespace
}  // namespace bulkhead::storm
