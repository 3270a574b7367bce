// The rules by which a lost write is told, without a file: every order of ends that the kernel may choose.
#include <gtest/gtest.h>

#include "handler-host/handlers/file/attempt.h"
#include "handler-host/handlers/file/losses.h"
#include "handler-host/handlers/file/sync_order.h"

namespace bulkhead::handler {
namespace {

TEST(SyncOrder, ASuccessAloneIsTold) {
  SyncOrder order;
  Operation flush;
  order.begin(flush);
  EXPECT_EQ(order.next(), nullptr);
  order.succeeded(flush);
  EXPECT_EQ(order.next(), &flush);
  EXPECT_FALSE(order.doubtful(flush));
  EXPECT_EQ(order.next(), nullptr);
}

// The kernel told `first`, then `second` looked and found nothing; we hear of `second` before.
TEST(SyncOrder, ASuccessWaitsForWhoWasStartedBeforeItsEnd) {
  for (const bool second_began_later : {true, false}) {
    SyncOrder order;
    Operation first, second;
    order.begin(second_began_later ? first : second);
    order.begin(second_began_later ? second : first);
    order.succeeded(second);
    EXPECT_EQ(order.next(), nullptr);
    order.failed(first);
    EXPECT_EQ(order.next(), &second);
    EXPECT_TRUE(order.doubtful(second));
  }
}

TEST(SyncOrder, WhoBeganAfterTheEndIsNotWaitedFor) {
  SyncOrder order;
  Operation first, second, third;
  order.begin(first);
  order.begin(second);
  order.succeeded(first);
  order.begin(third);
  order.succeeded(second);
  EXPECT_EQ(order.next(), &first);
  EXPECT_EQ(order.next(), nullptr);  // third was started before second's end
  order.failed(third);
  EXPECT_EQ(order.next(), &second);
  EXPECT_TRUE(order.doubtful(second));
}

TEST(SyncOrder, AFailureBeforeItsStartIsNoneOfItsAffair) {
  SyncOrder order;
  Operation first, second;
  order.begin(first);
  order.failed(first);
  order.begin(second);
  order.succeeded(second);
  EXPECT_EQ(order.next(), &second);
  EXPECT_FALSE(order.doubtful(second));
}

TEST(SyncOrder, WhatWasWithdrawnHoldsNobody) {
  SyncOrder order;
  Operation a, b, c;
  for (Operation* operation : {&a, &b, &c}) order.begin(*operation);
  order.succeeded(c);
  order.withdraw(a);
  EXPECT_EQ(order.next(), nullptr);
  order.withdraw(b);
  EXPECT_EQ(order.next(), &c);
  EXPECT_FALSE(order.doubtful(c));
}

class LossesTest : public ::testing::Test {
 protected:
  void write() { losses.write_ended(losses.write_begins()); }
  Losses losses;
};

TEST_F(LossesTest, WithNothingWrittenSinceAFlushNothingIsLost) {
  losses.flush_succeeded(losses.answered());
  losses.happened(IoStatus::WriteError);
  EXPECT_FALSE(losses.untold());
  write();
  losses.flush_succeeded(losses.answered());
  losses.happened(IoStatus::WriteError);
  EXPECT_FALSE(losses.untold());
}

TEST_F(LossesTest, TheFlushThatFailedTells) {
  write();
  const std::uint64_t answered = losses.answered();
  losses.happened(IoStatus::WriteError);
  EXPECT_TRUE(losses.untold());
  losses.told(answered);
  EXPECT_FALSE(losses.fails_flush());
}

TEST_F(LossesTest, WhatWasToldToADurableWriteFailsTheNextFlushOnce) {
  write();
  losses.happened(IoStatus::NoSpace);
  EXPECT_TRUE(losses.fails_flush());
  EXPECT_EQ(losses.how(), IoStatus::NoSpace);
  EXPECT_FALSE(losses.fails_flush());
}

// Its initiator asks for a flush only now; that the flush before has failed is not known to it.
TEST_F(LossesTest, AWriteAnsweredDuringTheFlushThatFailedFailsAnother) {
  write();
  const std::uint64_t answered = losses.answered();
  write();
  losses.happened(IoStatus::WriteError);
  losses.told(answered);
  EXPECT_TRUE(losses.fails_flush());
  EXPECT_FALSE(losses.fails_flush());
}

TEST_F(LossesTest, AWriteAnsweredAfterTheFailureMayBeLostToo) {
  const std::uint64_t slow = losses.write_begins();
  losses.happened(IoStatus::WriteError);
  losses.told(0);
  // These flushes were asked for before the write was answered.
  EXPECT_TRUE(losses.fails_flush());
  EXPECT_TRUE(losses.fails_flush());
  losses.write_ended(slow);
  write();
  EXPECT_TRUE(losses.fails_flush());
  EXPECT_FALSE(losses.fails_flush());
}

TEST_F(LossesTest, OnlyWhatWasAnsweredBeforeAFlushIsDurableByIt) {
  write();
  const std::uint64_t answered = losses.answered();
  write();
  losses.flush_succeeded(answered);
  EXPECT_FALSE(losses.at_stake(answered));
  EXPECT_TRUE(losses.at_stake(losses.answered()));
  losses.happened(IoStatus::WriteError);
  EXPECT_TRUE(losses.untold());
}

TEST(StatusOf, NoErrorOfAFlushMakesItBeTriedAgainOrGivenUp) {
  for (int number = 1; number < 134; ++number) {
    const IoStatus status = status_of(Work::Flush, number);
    EXPECT_TRUE(status == IoStatus::WriteError || status == IoStatus::NoSpace) << number;
  }
}

}  // namespace
}  // namespace bulkhead::handler
