#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "handler-host/scsi/testing/test_lun.h"

namespace bulkhead::scsi {
namespace {

using namespace testing;
using handler::IoStatus;
using ::testing::ElementsAre;

constexpr std::uint8_t kLongList = 0x20;
constexpr std::uint8_t kFormatData = 0x10;
constexpr std::uint8_t kCompleteList = 0x08;
constexpr std::uint8_t kOptionsValid = 0x80;
constexpr std::uint8_t kPattern = 0x08;
constexpr std::uint8_t kImmed = 0x02;

Bytes format(std::uint8_t byte1 = 0) {
  return {0x04, byte1, 0, 0, 0, 0};
}
Reply format_with(TestLun& lun, const Bytes& list, std::uint8_t flags = 0) {
  return lun.put(format(kFormatData | flags), list);
}
bool is_all(const TestLun& lun, std::uint8_t value) {
  return lun.medium(Lba{0}, lun.shape.blocks) == Bytes(lun.shape.blocks.value * 512, value);
}
void start_immediate(TestLun& lun) {
  lun.device.hold(true);
  EXPECT_THAT(lun.start(format(kFormatData), {0, kOptionsValid | kImmed, 0, 0}).reply(), IsGood());
}

TEST(FormatUnit, MakesAllBlocksReadAsZeroes) {
  TestLun lun;
  lun.fill(Lba{0}, lun.shape.blocks, 0x11);
  EXPECT_THAT(lun.run(format()), IsGood());
  EXPECT_TRUE(is_all(lun, 0));
  EXPECT_THAT(lun.device.ops, ElementsAre(Op{OpKind::WriteZeroes, 0, 64 * 512}, Op{OpKind::Flush}));
  EXPECT_THAT(lun.run(test_unit_ready_cdb()), IsGood());
}

TEST(FormatUnit, GivesTheSpaceBackWhereDiscardedBlocksReadAsZeroes) {
  TestLun lun({.geometry = thin()});
  lun.fill(Lba{0}, lun.shape.blocks, 0x11);
  EXPECT_THAT(lun.run(format()), IsGood());
  EXPECT_THAT(lun.device.ops, ElementsAre(Op{OpKind::Discard, 0, 64 * 512}, Op{OpKind::Flush}));
  EXPECT_TRUE(is_all(lun, 0));

  handler::Geometry geometry = thin();
  geometry.discard_zeroes = false;
  TestLun other({.geometry = geometry});
  EXPECT_THAT(other.run(format()), IsGood());
  EXPECT_THAT(other.device.ops, ElementsAre(Op{OpKind::WriteZeroes, 0, 64 * 512}, Op{OpKind::Flush}));
}

TEST(FormatUnit, WritesTheZeroesIfTheHandlerCannot) {
  TestLun lun({.geometry = thin()});
  lun.fill(Lba{0}, lun.shape.blocks, 0x11);
  lun.device.fail(OpKind::Discard, IoStatus::NotSupported);
  lun.device.fail(OpKind::WriteZeroes, IoStatus::NotSupported);
  EXPECT_THAT(lun.run(format()), IsGood());
  EXPECT_EQ(lun.device.ops.back(), (Op{OpKind::Flush}));
  EXPECT_TRUE(is_all(lun, 0));
}

TEST(FormatUnit, TakesShortAndLongHeadersAndOptionsThatChangeNothingHere) {
  for (const std::uint8_t flags : Bytes{0, kCompleteList, 3, kCompleteList | 3}) {
    TestLun lun;
    lun.fill(Lba{0}, lun.shape.blocks, 0x11);
    EXPECT_THAT(format_with(lun, {0, kOptionsValid | 0x70, 0, 0}, flags), IsGood());
    EXPECT_TRUE(is_all(lun, 0));
    lun.fill(Lba{0}, lun.shape.blocks, 0x11);
    EXPECT_THAT(format_with(lun, {0, 0, 0, 0, 0, 0, 0, 0}, flags | kLongList), IsGood());
    EXPECT_TRUE(is_all(lun, 0));
  }
}

TEST(FormatUnit, WritesAPattern) {
  TestLun lun({.geometry = thin()});
  EXPECT_THAT(format_with(lun, {0, kOptionsValid | kPattern, 0, 0, 0, 1, 0, 1, 0x42}), IsGood());
  EXPECT_TRUE(is_all(lun, 0x42));
  EXPECT_THAT(format_with(lun, {0, kOptionsValid | kPattern, 0, 0, 0, 0, 0, 0, /* long: */ 0, 1, 0, 1, 0x43},
                          kLongList),
              IsGood());
  EXPECT_TRUE(is_all(lun, 0x43));
  // The default one.
  EXPECT_THAT(format_with(lun, {0, kOptionsValid | kPattern, 0, 0, 0, 0, 0, 0}), IsGood());
  EXPECT_TRUE(is_all(lun, 0));
}

TEST(FormatUnit, SecurityInitializeOverwritesWhatWasThere) {
  TestLun lun({.geometry = thin()});
  EXPECT_THAT(format_with(lun, {0, kOptionsValid | kPattern, 0, 0, 0x20, 0, 0, 0}), IsGood());
  EXPECT_THAT(lun.device.ops, ElementsAre(Op{OpKind::Write, 0, 64 * 512}, Op{OpKind::Flush}));
}

TEST(FormatUnit, RefusesCdbsThatNameDefectsOrNoListForThem) {
  TestLun lun;
  const auto refusal = [&](std::uint8_t byte1) {
    const Reply reply = lun.put(format(byte1), Bytes(4));
    EXPECT_THAT(reply, HasSense(SenseKey::IllegalRequest, asc::kInvalidFieldInCdb)) << int{byte1};
    return reply;
  };
  EXPECT_THAT(refusal(kCompleteList), PointsAtCdb(1, 3));
  EXPECT_THAT(refusal(3), PointsAtCdb(1, 2));
  for (const std::uint8_t type : Bytes{1, 2, 4, 5, 6, 7})
    EXPECT_THAT(refusal(kFormatData | type), PointsAtCdb(1, 2)) << int{type};
  EXPECT_THAT(refusal(0x40), PointsAtCdb(1, 6));  // FMTPINFO
  EXPECT_TRUE(lun.device.ops.empty());
}

TEST(FormatUnit, TheListIsCheckedFirst) {
  TestLun lun;
  const auto refusal = [&](const Bytes& list, std::uint8_t flags = 0) {
    const Reply reply = format_with(lun, list, flags);
    EXPECT_THAT(reply, HasSense(SenseKey::IllegalRequest, asc::kInvalidFieldInParameterList));
    return reply;
  };
  EXPECT_THAT(refusal({4, 0, 0, 0}), PointsAtList(0, 2));     // PROTECTION FIELD USAGE
  EXPECT_THAT(refusal({0, 0x01, 0, 0}), PointsAtList(1, 0));  // vendor specific
  EXPECT_THAT(refusal({0, 0x20, 0, 0}), PointsAtList(1, 5));  // DCRT without FOV
  EXPECT_THAT(refusal({0, kPattern, 0, 0, 0, 0, 0, 0}), PointsAtList(1, 3));
  EXPECT_THAT(refusal({0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 1}), PointsAtList(2));  // a defect
  EXPECT_THAT(refusal({0, 0, 1, 0, 0, 0, 0, 0}, kLongList), PointsAtList(2));
  EXPECT_THAT(refusal({0, 0, 0, 1, 0, 0, 0, 0}, kLongList), PointsAtList(3));
  EXPECT_THAT(refusal({0, 0, 0, 0, 1, 0, 0, 0}, kLongList), PointsAtList(4));
  const std::uint8_t with = kOptionsValid | kPattern;
  EXPECT_THAT(refusal({0, with, 0, 0, 0x40, 0, 0, 0}), PointsAtList(4, 6));  // IP MODIFIER
  EXPECT_THAT(refusal({0, with, 0, 0, 0, 2, 0, 0}), PointsAtList(5));        // type
  EXPECT_THAT(refusal({0, with, 0, 0, 0, 0, 0, 1, 7}), PointsAtList(6));  // a default pattern has no length
  EXPECT_THAT(refusal({0, with, 0, 0, 0, 1, 0, 0}), PointsAtList(6));
  EXPECT_THAT(refusal({0, with, 0, 0, 0, 1, 2, 1}), PointsAtList(6));  // longer than a block
  EXPECT_TRUE(lun.device.ops.empty());
}

TEST(FormatUnit, AListThatEndsTooEarlyIsRefused) {
  TestLun lun;
  const std::uint8_t with = kOptionsValid | kPattern;
  for (const Bytes& list :
       {Bytes{}, Bytes{0, 0, 0}, Bytes{0, with, 0, 0, 0, 1, 0}, Bytes{0, with, 0, 0, 0, 1, 0, 2, 1}})
    EXPECT_THAT(format_with(lun, list), HasSense(SenseKey::IllegalRequest, asc::kParameterListLengthError))
        << list.size();
  EXPECT_THAT(format_with(lun, {0, 0, 0, 0, 0, 0, 0}, kLongList),
              HasSense(SenseKey::IllegalRequest, asc::kParameterListLengthError));
  EXPECT_TRUE(lun.device.ops.empty());
}

TEST(FormatUnit, WithImmedOthersAreToldHowFarItIs) {
  TestLun lun({.blocks = BlockCount{2 * 16 * 1024 * 1024 / 512}});  // two pieces of zeroes
  start_immediate(lun);
  lun.device.finish();
  for (const Bytes& cdb : {test_unit_ready_cdb(), read10(Lba{0}, BlockCount{1}), format()}) {
    const Reply reply = lun.run(cdb);
    EXPECT_THAT(reply, HasSense(SenseKey::NotReady, asc::kFormatInProgress)) << int{cdb[0]};
    EXPECT_EQ(reply.sense[15], 0x80);
    EXPECT_EQ(reply.sense[16] << 8 | reply.sense[17], 0x8000);
  }
  EXPECT_THAT(lun.get(inquiry_of()).reply, IsGood());
  lun.device.hold(false);
  lun.device.finish_all();
  EXPECT_THAT(lun.run(test_unit_ready_cdb()), IsGood());
}

TEST(FormatUnit, AfterAFailureTheMediumIsCorruptUntilItIsFormatted) {
  TestLun lun;
  lun.device.fail(OpKind::WriteZeroes, IoStatus::WriteError);
  EXPECT_THAT(lun.run(format()), HasSense(SenseKey::MediumError, asc::kFormatFailed));
  for (const Bytes& cdb : {test_unit_ready_cdb(), read10(Lba{0}, BlockCount{1})})
    EXPECT_THAT(lun.run(cdb), HasSense(SenseKey::MediumError, asc::kMediumFormatCorrupted)) << int{cdb[0]};
  EXPECT_THAT(lun.put(write10(Lba{0}, BlockCount{1}), lun.block_of(1)),
              HasSense(SenseKey::MediumError, asc::kMediumFormatCorrupted));
  // What says what the unit is like goes on.
  EXPECT_THAT(lun.get({0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0}).reply, IsGood());
  EXPECT_THAT(lun.get({0x1a, 0, 0x3f, 0, 255, 0}).reply, IsGood());
  lun.device.fail(OpKind::WriteZeroes, IoStatus::Ok);
  EXPECT_THAT(lun.run(format()), IsGood());
  EXPECT_THAT(lun.run(read10(Lba{0}, BlockCount{1})), IsGood());
}

TEST(FormatUnit, DoesNotEndAFailedSanitize) {
  TestLun lun;
  lun.device.fail(OpKind::Write, IoStatus::WriteError);
  EXPECT_THAT(lun.put({0x48, 0x01, 0, 0, 0, 0, 0, 0, 5, 0}, {1, 0, 0, 1, 7}),
              HasSense(SenseKey::MediumError, asc::kSanitizeFailed));
  EXPECT_THAT(lun.run(format()), HasSense(SenseKey::MediumError, asc::kSanitizeFailed));
}

TEST(FormatUnit, GoesOnInTheNextHost) {
  TestLun lun;
  lun.fill(Lba{0}, lun.shape.blocks, 0x11);
  start_immediate(lun);
  TestLun next;
  next.fill(Lba{0}, next.shape.blocks, 0x11);
  next.unit.restore(lun.unit.state());
  EXPECT_TRUE(is_all(next, 0));
  lun.device.hold(false);
  lun.device.finish_all();
}

TEST(FormatUnit, WaitsForTheChangesUnderWay) {
  TestLun lun;
  lun.device.hold(true);
  TestCommand& write = lun.start(write10(Lba{0}, BlockCount{1}), lun.block_of(0x11));
  TestCommand& command = lun.start(format());
  ASSERT_EQ(lun.device.held(), 1u);
  lun.device.hold(false);
  lun.device.finish_all();
  EXPECT_THAT(write.reply(), IsGood());
  EXPECT_THAT(command.reply(), IsGood());
  EXPECT_TRUE(is_all(lun, 0));
}

TEST(PreventAllowMediumRemoval, WhatCannotBeRemovedIsKeptAndLetGoAlike) {
  TestLun lun;
  EXPECT_THAT(lun.run({0x1e, 0, 0, 0, 0, 0}), IsGood());
  EXPECT_THAT(lun.run({0x1e, 0, 0, 0, 1, 0}), IsGood());
  const Reply reply = lun.run({0x1e, 0, 0, 0, 2, 0});
  EXPECT_THAT(reply, HasSense(SenseKey::IllegalRequest, asc::kInvalidFieldInCdb));
  EXPECT_THAT(reply, PointsAtCdb(4, 1));
  EXPECT_THAT(lun.run(test_unit_ready_cdb()), IsGood());
}

}  // namespace
}  // namespace bulkhead::scsi
