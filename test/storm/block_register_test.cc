#include "test/storm/block_register.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace bulkhead::storm {
namespace {

// Histories by verbs: each is one event, in the order of time. A read is named by a letter.
class History {
 public:
  History& begin_write(Version version) { return block_.write_begins(version, ++now_), *this; }
  History& end_write(Version version) { return block_.write_ends(version, ++now_), *this; }
  History& fail_write(Version version) { return block_.write_fails(version, ++now_), *this; }
  History& write(Version version) { return begin_write(version).end_write(version); }
  History& begin_read(char name) {
    began_[static_cast<unsigned char>(name)] = ++now_;
    block_.read_begins(now_);
    return *this;
  }
  History& end_read(char name, Version version) {
    auto wrong = block_.read_ends(began_[static_cast<unsigned char>(name)], version, ++now_);
    if (wrong && wrong_.empty()) wrong_ = *wrong;
    return *this;
  }
  History& read(Version version) { return begin_read('.').end_read('.', version); }
  [[nodiscard]] const std::string& wrong() const { return wrong_; }
  [[nodiscard]] const BlockRegister& block() const { return block_; }

 private:
  BlockRegister block_;
  Instant now_ = 0;
  Instant began_[256] = {};
  std::string wrong_;
};

TEST(BlockRegister, AcceptsOneAfterTheOther) {
  EXPECT_EQ(History().write(1).read(1).write(2).read(2).read(2).write(3).read(3).wrong(), "");
}

TEST(BlockRegister, FindsALostWrite) {
  EXPECT_EQ(History().write(1).write(2).read(1).wrong(),
            "version 1 is back, overwritten long ago; expected version 2 (acknowledged)");
}

TEST(BlockRegister, FindsAStaleReadWhileAnotherReadIsInFlight) {
  // Read a began before the write of 2 was acknowledged, so 1 is still remembered; b may not return it.
  const History history = History().write(1).begin_read('a').write(2).begin_read('b').end_read('b', 1);
  EXPECT_EQ(history.wrong(),
            "version 1 can't be there, version 2 (acknowledged) has replaced it; expected version 2 "
            "(acknowledged)");
}

TEST(BlockRegister, FindsALateReplay) {
  EXPECT_EQ(History().write(1).write(2).read(2).write(3).read(3).read(2).wrong(),
            "version 2 is back, overwritten long ago; expected version 3 (acknowledged)");
}

TEST(BlockRegister, FindsAVersionThatWasNeverWritten) {
  EXPECT_EQ(History().write(1).read(7).wrong(),
            "version 7 was never written here; expected version 1 (acknowledged)");
}

TEST(BlockRegister, LetsAReadThatOverlapsAWriteReturnEither) {
  EXPECT_EQ(History().write(1).begin_read('a').begin_write(2).end_read('a', 1).end_write(2).wrong(), "");
  EXPECT_EQ(History().write(1).begin_read('a').begin_write(2).end_read('a', 2).end_write(2).wrong(), "");
  EXPECT_EQ(History().write(1).begin_read('a').write(2).end_read('a', 1).wrong(), "");
}

TEST(BlockRegister, FindsAReadThatGoesBackBeforeTheWriteIsAcknowledged) {
  EXPECT_NE(History().write(1).begin_write(2).read(2).read(1).wrong(), "");
  EXPECT_EQ(History().write(1).begin_write(2).read(1).read(2).end_write(2).read(2).wrong(), "");
}

TEST(BlockRegister, LetsOverlappingWritesEndInAnyOrder) {
  EXPECT_EQ(History().write(1).begin_write(2).begin_write(3).end_write(2).end_write(3).read(3).wrong(), "");
  EXPECT_EQ(History().write(1).begin_write(2).begin_write(3).end_write(2).end_write(3).read(2).wrong(), "");
  // Acknowledged first and still the last word, as 2 is not acknowledged yet when 3 is.
  EXPECT_EQ(
      History().write(1).begin_write(2).begin_write(3).end_write(3).end_write(2).read(3).read(3).wrong(), "");
}

TEST(BlockRegister, FindsOverlappingWritesThatBothHaveTheLastWord) {
  EXPECT_NE(
      History().write(1).begin_write(2).begin_write(3).end_write(2).end_write(3).read(2).read(3).wrong(), "");
  EXPECT_NE(History().write(1).begin_write(2).begin_write(3).read(2).read(3).read(2).wrong(), "");
}

TEST(BlockRegister, LetsAFailedWriteHappenOnceOrNever) {
  EXPECT_EQ(History().write(1).begin_write(2).fail_write(2).read(1).read(1).wrong(), "");
  EXPECT_EQ(History().write(1).begin_write(2).fail_write(2).read(1).read(2).read(2).wrong(), "");
  EXPECT_EQ(History().write(1).begin_write(2).fail_write(2).write(3).read(3).wrong(), "");
  EXPECT_NE(History().write(1).begin_write(2).fail_write(2).read(2).read(1).wrong(), "");
}

TEST(BlockRegister, FindsAFailedWriteThatUndoesALaterOne) {
  EXPECT_NE(History().write(1).begin_write(2).fail_write(2).write(3).read(2).wrong(), "");
  // Also when it is still remembered, for a read that has been under way since before.
  EXPECT_NE(History()
                .write(1)
                .begin_read('a')
                .begin_write(2)
                .fail_write(2)
                .write(3)
                .begin_read('b')
                .end_read('b', 2)
                .wrong(),
            "");
}

TEST(BlockRegister, KnowsWhenABlockIsBeingWritten) {
  History history;
  history.write(1);
  EXPECT_TRUE(history.block().written_since(1));
  EXPECT_FALSE(history.block().written_since(3));
  history.begin_write(2);
  EXPECT_TRUE(history.block().written_since(3));
  history.fail_write(2);
  EXPECT_TRUE(history.block().written_since(100));
  history.write(3);
  EXPECT_FALSE(history.block().written_since(100));
}

// What really happens inside an operation, at one instant: random histories of a true register are all
// accepted, and the same with one read falsified so that it must be noticed are not.
class RandomHistory {
 public:
  explicit RandomHistory(std::uint64_t seed) : random_(seed) { history_.write(1); }

  void step() {
    switch (random_() % 4) {
      case 0:
        return begin();
      case 1:
        return happen();
      default:
        return end();
    }
  }
  void settle() {
    while (!operations_.empty()) {
      for (Operation& each : operations_) apply(each);
      end();
    }
  }
  History& history() { return history_; }
  [[nodiscard]] Version value() const { return value_; }
  [[nodiscard]] Version newest() const { return newest_; }

 private:
  struct Operation {
    char name = 0;  // 0: a write
    Version version = 0;
    bool happened = false;
  };
  void begin() {
    if (operations_.size() >= 6) return;
    if (random_() % 2 == 0) {
      operations_.push_back({.version = ++newest_});
      history_.begin_write(newest_);
      return;
    }
    for (char name = 'a'; name <= 'f'; ++name) {
      if (std::ranges::find(operations_, name, &Operation::name) != operations_.end()) continue;
      operations_.push_back({.name = name});
      history_.begin_read(name);
      return;
    }
  }
  void happen() {
    if (!operations_.empty()) apply(operations_[random_() % operations_.size()]);
  }
  void apply(Operation& each) {
    if (std::exchange(each.happened, true)) return;
    if (each.name == 0)
      value_ = each.version;
    else
      each.version = value_;
  }
  void end() {
    auto done = std::ranges::find(operations_, true, &Operation::happened);
    if (done == operations_.end()) return;
    if (done->name == 0)
      history_.end_write(done->version);
    else
      history_.end_read(done->name, done->version);
    operations_.erase(done);
  }

  std::mt19937_64 random_;
  History history_;
  std::vector<Operation> operations_;
  Version value_ = 1;
  Version newest_ = 1;
};

TEST(BlockRegister, AcceptsWhateverATrueRegisterDoes) {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    RandomHistory random(seed);
    for (int i = 0; i < 500; ++i) {
      random.step();
      ASSERT_EQ(random.history().wrong(), "") << "seed " << seed << ", step " << i;
      ASSERT_LE(random.history().block().clusters(), 40U) << "nothing is forgotten";
    }
    random.settle();
    EXPECT_EQ(random.history().read(random.value()).wrong(), "");
  }
}

TEST(BlockRegister, FindsAnyOlderVersionAfterWhateverHappened) {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    RandomHistory random(seed);
    for (int i = 0; i < 50; ++i) random.step();
    random.settle();
    // Known to everybody by this read, so no other version can be there any more.
    random.history().read(random.value());
    ASSERT_EQ(random.history().wrong(), "");
    const Version old = 1 + seed % random.newest();
    if (old == random.value()) continue;
    random.history().read(old);
    EXPECT_NE(random.history().wrong(), "") << "seed " << seed << ": version " << old;
  }
}

}  // namespace
}  // namespace bulkhead::storm
