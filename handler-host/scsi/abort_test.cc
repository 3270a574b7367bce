// Aborted commands: those that have not reached the handler end at once, and nothing else changes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "handler-host/scsi/testing/mode_lists.h"
#include "handler-host/scsi/testing/test_lun.h"

namespace bulkhead::scsi {
namespace {

using namespace testing;
using ::testing::ElementsAre;

MATCHER(IsTaskAborted, "is TASK ABORTED") {
  return arg.status == 0x40 && arg.sense_bytes == 0 && arg.data_bytes == 0;
}

TEST(Abort, AWriteThatWaitsForAnotherIsAnsweredAtOnceAndNeverDone) {
  TestLun lun;
  lun.device.hold(true);
  lun.start(write10(Lba{0}, BlockCount{1}), lun.block_of(1));
  TestCommand& waiting = lun.start(write10(Lba{0}, BlockCount{2}), Bytes(1024, 2));
  EXPECT_TRUE(lun.unit.abort(waiting));
  EXPECT_THAT(waiting.reply(), IsTaskAborted());
  lun.device.finish_all();
  EXPECT_EQ(lun.device.ops.size(), 1u);
  EXPECT_EQ(lun.medium(Lba{0}, BlockCount{1}), lun.block_of(1));
  EXPECT_EQ(lun.unit.under_way(), 0u);
}

TEST(Abort, AWriteThatTheHandlerHasEndsByItself) {
  TestLun lun;
  lun.device.hold(true);
  TestCommand& command = lun.start(write10(Lba{0}, BlockCount{1}), lun.block_of(1));
  EXPECT_FALSE(lun.unit.abort(command));
  EXPECT_FALSE(command.answered());
  lun.device.finish_all();
  EXPECT_THAT(command.reply(), IsGood());
}

TEST(Abort, WhatWaitedForTheAbortedOneAloneGoesOn) {
  TestLun lun;
  lun.device.hold(true);
  TestCommand& first = lun.start(write10(Lba{0}, BlockCount{1}), lun.block_of(1));
  TestCommand& aborted = lun.start(write10(Lba{0}, BlockCount{2}), Bytes(1024, 2));
  TestCommand& behind = lun.start(write10(Lba{1}, BlockCount{1}), lun.block_of(3));
  EXPECT_TRUE(lun.unit.abort(aborted));
  EXPECT_EQ(lun.device.held(), 2u) << "the third starts while the first is under way";
  lun.device.finish_all();
  EXPECT_THAT(lun.answered, ElementsAre(&aborted, &first, &behind));
  EXPECT_THAT(behind.reply(), IsGood());
  EXPECT_EQ(lun.medium(Lba{1}, BlockCount{1}), lun.block_of(3));
}

TEST(Abort, ACommandThatWaitsForTheBorrowedBufferGivesItsBlocksBack) {
  TestLun lun;
  lun.device.hold(true);
  TestCommand& borrower = lun.start(write_same10(Lba{0}, BlockCount{8}), lun.block_of(1));
  TestCommand& waiting = lun.start(write_same10(Lba{16}, BlockCount{8}), lun.block_of(2));
  ASSERT_EQ(lun.device.held(), 1u);
  EXPECT_TRUE(lun.unit.abort(waiting));
  EXPECT_THAT(waiting.reply(), IsTaskAborted());
  TestCommand& later = lun.start(write10(Lba{16}, BlockCount{1}), lun.block_of(3));
  EXPECT_EQ(lun.device.held(), 2u) << "its blocks are free";
  lun.device.finish_all();
  EXPECT_THAT(borrower.reply(), IsGood());
  EXPECT_THAT(later.reply(), IsGood());
  EXPECT_EQ(lun.medium(Lba{7}, BlockCount{1}), lun.block_of(1));
  EXPECT_EQ(lun.medium(Lba{17}, BlockCount{1}), lun.block_of(0));
  lun.device.hold(false);
  EXPECT_THAT(lun.put(write_same10(Lba{16}, BlockCount{8}), lun.block_of(4)), IsGood())
      << "and so is the buffer";
}

TEST(Abort, TheBufferGoesToTheNextWhenOneThatWaitedForItIsAborted) {
  TestLun lun;
  lun.device.hold(true);
  lun.start(write_same10(Lba{0}, BlockCount{8}), lun.block_of(1));
  TestCommand& aborted = lun.start(write_same10(Lba{16}, BlockCount{8}), lun.block_of(2));
  TestCommand& next = lun.start(write_same10(Lba{32}, BlockCount{8}), lun.block_of(3));
  EXPECT_TRUE(lun.unit.abort(aborted));
  EXPECT_FALSE(next.answered());
  lun.device.finish_all();
  EXPECT_THAT(next.reply(), IsGood());
  EXPECT_EQ(lun.medium(Lba{39}, BlockCount{1}), lun.block_of(3));
  EXPECT_EQ(lun.medium(Lba{16}, BlockCount{1}), lun.block_of(0));
}

TEST(Abort, AnInquiryThatWaitsForTheIdentityIsAnsweredAndItsLateAnswerHarmsNobody) {
  TestLun lun;
  lun.identity.hold = true;
  TestCommand& aborted = lun.start(vpd(0x80), Bytes(255));
  EXPECT_TRUE(lun.unit.abort(aborted));
  EXPECT_THAT(aborted.reply(), IsTaskAborted());
  EXPECT_EQ(lun.unit.under_way(), 1u) << "the answer comes yet";
  TestCommand& other = lun.start(vpd(0x80), Bytes(255));
  lun.identity.answer_held();
  EXPECT_FALSE(other.answered()) << "that was not its answer";
  EXPECT_EQ(lun.unit.under_way(), 1u);
  lun.identity.answer_held();
  EXPECT_THAT(other.reply(), IsGood());
  EXPECT_EQ(lun.unit.under_way(), 0u);
}

TEST(Abort, AsManyCommandsAsEverFitAfterAborts) {
  TestLun lun({.max_commands = 2});
  lun.device.hold(true);
  for (int round = 0; round < 5; ++round) {
    TestCommand& holder = lun.start(write10(Lba{0}, BlockCount{1}), lun.block_of(1));
    TestCommand& waiting = lun.start(write10(Lba{0}, BlockCount{1}), lun.block_of(2));
    EXPECT_TRUE(lun.unit.abort(waiting));
    lun.device.finish_all();
    EXPECT_THAT(holder.reply(), IsGood());
  }
}

TEST(Abort, AModeSelectThatWaitsForWritesHasChangedNothing) {
  TestLun lun;
  lun.device.hold(true);
  lun.start(write10(Lba{0}, BlockCount{1}), lun.block_of(1));
  const Bytes list = caching_list(false);
  TestCommand& select = lun.start(select6(list.size()), list);
  EXPECT_TRUE(lun.unit.abort(select));
  EXPECT_THAT(select.reply(), IsTaskAborted());
  lun.device.finish_all();
  EXPECT_TRUE(lun.unit.write_cache()) << "what it holds was not flushed";
}

TEST(Abort, AReadIsTheHandlersFromTheStart) {
  TestLun lun;
  lun.device.hold(true);
  lun.start(write10(Lba{0}, BlockCount{1}), lun.block_of(1));
  TestCommand& reading = lun.start(read10(Lba{0}, BlockCount{1}), lun.block_of(0));
  EXPECT_FALSE(lun.unit.abort(reading));
  lun.device.finish_all();
  EXPECT_THAT(reading.reply(), IsGood());
}

// SBC-4, "Performing a sanitize operation": no task management function stops it (iscsi-test-cu,
// Sanitize.Reset).
TEST(Abort, ACommandThatWaitsForASanitizeEndsAtOnceAndTheSanitizeGoesOn) {
  TestLun lun;
  lun.device.hold(true);
  TestCommand& sanitize = lun.start({0x48, 0x01, 0, 0, 0, 0, 0, 0, 5, 0}, {1, 0, 0, 1, 0x5a});
  ASSERT_EQ(lun.device.held(), 1u);
  EXPECT_TRUE(lun.unit.abort(sanitize));
  EXPECT_THAT(sanitize.reply(), IsTaskAborted());
  EXPECT_THAT(lun.run(test_unit_ready_cdb()), HasSense(SenseKey::NotReady, asc::kSanitizeInProgress));
  lun.device.finish_all();
  EXPECT_THAT(lun.run(test_unit_ready_cdb()), IsGood());
  EXPECT_EQ(lun.medium(Lba{0}, BlockCount{64}), Bytes(64 * 512, 0x5a));
}

}  // namespace
}  // namespace bulkhead::scsi
