#include "handler-host/handlers/file/losses.h"

#include <gtest/gtest.h>

namespace bulkhead::handler {
namespace {

// A durable write may be the first that is told of a write back of what an earlier process wrote.
TEST(Losses, WhatEarlierProcessesWroteMayBeLostToo) {
  Losses losses;
  losses.happened(IoStatus::WriteError);
  EXPECT_TRUE(losses.fails_flush());
  EXPECT_FALSE(losses.untold()) << "all of that was answered long ago";
}

TEST(Losses, AfterAFlushNothingOfEarlierProcessesIsAtStake) {
  Losses losses;
  losses.flush_succeeded(losses.answered());
  losses.happened(IoStatus::WriteError);
  EXPECT_FALSE(losses.untold());
}

TEST(Losses, AWriteThatWasAnsweredIsToldByTheFlushThatFails) {
  Losses losses;
  losses.write_ended(losses.write_begins());
  const auto answered = losses.answered();
  losses.happened(IoStatus::NoSpace);
  EXPECT_TRUE(losses.untold());
  losses.told(answered);
  EXPECT_FALSE(losses.untold());
  EXPECT_EQ(losses.how(), IoStatus::NoSpace);
}

// Writes by grant count like those that came by here.
TEST(Losses, AGrantedWriteIsToldByTheFlushThatFails) {
  Losses losses;
  const auto before = losses.answered();
  losses.granted(2);
  const auto answered = losses.answered();
  EXPECT_EQ(answered, before + 1);
  losses.happened(IoStatus::WriteError);
  EXPECT_TRUE(losses.untold());
  losses.told(answered);
  EXPECT_FALSE(losses.untold());
}

TEST(Losses, AGrantedWriteAfterTheFlushBeganNeedsAnotherOne) {
  Losses losses;
  losses.granted(2);
  const auto answered = losses.answered();
  losses.granted(4);
  losses.happened(IoStatus::WriteError);
  losses.told(answered);
  EXPECT_TRUE(losses.fails_flush());
  EXPECT_FALSE(losses.untold());
}

TEST(Losses, AGrantedWriteUnderWayIsLostTooAndMustEndFirst) {
  Losses losses;
  const auto before = losses.answered();
  losses.granted(1);
  EXPECT_EQ(losses.answered(), before);
  losses.happened(IoStatus::WriteError);
  EXPECT_TRUE(losses.fails_flush());
  EXPECT_TRUE(losses.untold()) << "the write was not answered when that flush was asked for";
  losses.granted(2);
  EXPECT_TRUE(losses.fails_flush());
  EXPECT_FALSE(losses.untold());
  // One that begins afterwards has nothing to do with it.
  losses.granted(3);
  EXPECT_FALSE(losses.fails_flush());
}

TEST(Losses, WhatAFlushMadeDurableIsNotLost) {
  Losses losses;
  losses.granted(6);
  losses.write_ended(losses.write_begins());
  losses.flush_succeeded(losses.answered());
  losses.happened(IoStatus::WriteError);
  EXPECT_FALSE(losses.untold());
}

TEST(Losses, TheCountOfGrantedWritesMayComeRound) {
  Losses losses;
  losses.granted(UINT32_MAX - 1);
  const auto before = losses.answered();
  losses.granted(UINT32_MAX);
  EXPECT_EQ(losses.answered(), before);
  losses.granted(0);
  EXPECT_EQ(losses.answered(), before + 1);
  losses.granted(4);
  EXPECT_EQ(losses.answered(), before + 3);
}

}  // namespace
}  // namespace bulkhead::handler
