// The unit as a whole: capacity, readiness, attention, codes, and how it holds its commands.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "base/endian.h"
#include "handler-host/scsi/device_type.h"
#include "handler-host/scsi/testing/mode_lists.h"
#include "handler-host/scsi/testing/test_lun.h"

namespace bulkhead::scsi {
namespace {

using namespace testing;
using handler::IoStatus;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

Bytes read_capacity10() {
  return {0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0};
}
Bytes read_capacity16(std::uint8_t allocation = 32) {
  return {0x9e, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, allocation, 0, 0};
}
Bytes request_sense_cdb(std::uint8_t flags = 0, std::uint8_t allocation = 252) {
  return {0x03, flags, 0, 0, allocation, 0};
}
Bytes start_stop(std::uint8_t byte4, std::uint8_t byte3 = 0) {
  return {0x1b, 0, 0, byte3, byte4, 0};
}
Bytes sync10(std::uint8_t lba, std::uint8_t count, std::uint8_t flags = 0) {
  return {0x35, flags, 0, 0, 0, lba, 0, 0, count, 0};
}
std::uint32_t u32(const Bytes& bytes, std::size_t at) {
  return be32(std::span<const std::uint8_t, 4>(&bytes[at], 4));
}

TEST(ReadCapacity10, GivesTheLastBlockAndTheBlockSize) {
  TestLun lun({.blocks = BlockCount{64}, .block_bytes = 4096});
  EXPECT_THAT(lun.get(read_capacity10()).data, ElementsAre(0, 0, 0, 63, 0, 0, 0x10, 0x00));
}

TEST(ReadCapacity16, GivesTheLastBlockAndThatNothingIsThin) {
  TestLun lun({.blocks = BlockCount{64}});
  const Bytes data = lun.get(read_capacity16()).data;
  EXPECT_EQ(data.size(), 32u);
  EXPECT_EQ(data[7], 63);
  EXPECT_EQ(u32(data, 8), 512u);
  EXPECT_EQ(data[14], 0x00);
}

TEST(ReadCapacity16, GivesPhysicalBlocksAndThinProvisioning) {
  handler::Geometry geometry = thin();
  geometry.physical_block_bytes = 4096;
  TestLun lun({.geometry = geometry});
  const Bytes data = lun.get(read_capacity16()).data;
  EXPECT_EQ(data[13], 0x03);  // 2^3 logical blocks
  EXPECT_EQ(data[14], 0xc0);  // LBPME, LBPRZ
}

TEST(ReadCapacity16, KeepsToTheAllocationLength) {
  TestLun lun;
  for (const int allocation : {0, 1, 15, 16, 31})
    EXPECT_EQ(lun.get(read_capacity16(static_cast<std::uint8_t>(allocation))).data.size(),
              static_cast<std::size_t>(allocation));
}

// The medium is not touched; only sizes are told.
TEST(ReadCapacity, Beyond2TiBTheShortFormSaysSoAndTheLongFormTells) {
  TestLun lun({.blocks = BlockCount{64}});
  lun.unit.resized({(std::uint64_t{1} << 33) * 512});
  lun.run(test_unit_ready_cdb());
  EXPECT_EQ(u32(lun.get(read_capacity10()).data, 0), 0xffffffffu);
  const Bytes data = lun.get(read_capacity16()).data;
  EXPECT_EQ(u32(data, 0), 1u);
  EXPECT_EQ(u32(data, 4), 0xffffffffu);
}

TEST(TestUnitReady, IsGood) {
  TestLun lun;
  EXPECT_THAT(lun.run(test_unit_ready_cdb()), IsGood());
}

TEST(UnitAttention, TellsOnceThatTheCapacityChanged) {
  TestLun lun({.blocks = BlockCount{64}});
  ASSERT_TRUE(lun.device.resize({128 * 512}));
  lun.unit.resized({128 * 512});
  EXPECT_THAT(lun.run(test_unit_ready_cdb()),
              HasSense(SenseKey::UnitAttention, asc::kCapacityDataHasChanged));
  EXPECT_THAT(lun.run(test_unit_ready_cdb()), IsGood());
  EXPECT_THAT(lun.get(read10(Lba{127}, BlockCount{1})).reply, IsGood());
}

TEST(UnitAttention, GoesBeforeWhateverIsWrongWithTheCommand) {
  TestLun lun;
  lun.unit.resized({65 * 512});
  EXPECT_THAT(lun.run({0xd0, 0, 0, 0, 0, 0, 0, 0, 0, 0}),
              HasSense(SenseKey::UnitAttention, asc::kCapacityDataHasChanged));
}

TEST(UnitAttention, DoesNotStopInquiryAndIsStillThereAfterwards) {
  TestLun lun;
  lun.unit.resized({65 * 512});
  EXPECT_THAT(lun.get(inquiry_of()).reply, IsGood());
  EXPECT_THAT(lun.run(test_unit_ready_cdb()),
              HasSense(SenseKey::UnitAttention, asc::kCapacityDataHasChanged));
}

TEST(UnitAttention, IsNotMadeByAResizeToTheSameSize) {
  TestLun lun({.blocks = BlockCount{64}});
  lun.unit.resized({64 * 512});
  EXPECT_THAT(lun.run(test_unit_ready_cdb()), IsGood());
}

TEST(RequestSense, WithoutAConditionIsNoSense) {
  TestLun lun;
  const Answer answer = lun.get(request_sense_cdb());
  EXPECT_THAT(answer.reply, IsGood());
  EXPECT_EQ(answer.data.size(), 18u);
  EXPECT_EQ(answer.data[0], 0x70);
  EXPECT_EQ(answer.data[2], 0);
}

TEST(RequestSense, TellsTheUnitAttentionAsDataAndClearsIt) {
  TestLun lun;
  lun.unit.resized({65 * 512});
  const Bytes data = lun.get(request_sense_cdb()).data;
  EXPECT_EQ(data[2], 0x06);
  EXPECT_EQ(data[12], 0x2a);
  EXPECT_EQ(data[13], 0x09);
  EXPECT_THAT(lun.run(test_unit_ready_cdb()), IsGood());
}

// The kernel drops its answer.
TEST(RequestSense, LeavesTheUnitAttentionToOthersIfItWasAbortedBeforeItBegan) {
  TestLun lun;
  lun.unit.resized({65 * 512});
  TestCommand aborted(request_sense_cdb(), {});
  aborted.aborted = true;
  lun.unit.execute(aborted);
  ASSERT_TRUE(aborted.answered());
  EXPECT_THAT(lun.run(test_unit_ready_cdb()),
              HasSense(SenseKey::UnitAttention, asc::kCapacityDataHasChanged));
}

TEST(RequestSense, GivesDescriptorsIfAskedAndKeepsToTheAllocationLength) {
  TestLun lun;
  EXPECT_THAT(lun.get(request_sense_cdb(0x01)).data, ElementsAre(0x72, 0, 0, 0, 0, 0, 0, 0));
  EXPECT_EQ(lun.get(request_sense_cdb(0, 4)).data.size(), 4u);
}

TEST(SynchronizeCache, FlushesWhateverTheRange) {
  TestLun lun({.blocks = BlockCount{64}});
  EXPECT_THAT(lun.run(sync10(0, 0)), IsGood());
  EXPECT_THAT(lun.run(sync10(10, 1, 0x02)), IsGood());
  EXPECT_THAT(lun.run({0x91, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 64, 0, 0}), IsGood());
  EXPECT_THAT(lun.device.ops, ElementsAre(Op{OpKind::Flush}, Op{OpKind::Flush}, Op{OpKind::Flush}));
}

TEST(SynchronizeCache, PastTheLastBlockFails) {
  TestLun lun({.blocks = BlockCount{64}});
  EXPECT_THAT(lun.run(sync10(63, 2)), HasSense(SenseKey::IllegalRequest, asc::kLbaOutOfRange));
  EXPECT_THAT(lun.device.ops, IsEmpty());
}

TEST(SynchronizeCache, ReportsThatTheFlushFailed) {
  TestLun lun;
  lun.device.fail(OpKind::Flush, IoStatus::WriteError);
  // Not MEDIUM ERROR, which initiators try again: the second flush would find nothing to write, and succeed.
  EXPECT_THAT(lun.run(sync10(0, 0)), HasSense(SenseKey::HardwareError, asc::kWriteError));
}

TEST(SynchronizeCache, AHandlerWithoutAFlushIsUnderstoodAsHavingNoSuchCommand) {
  TestLun lun;
  lun.device.fail(OpKind::Flush, IoStatus::NotSupported);
  EXPECT_THAT(lun.run(sync10(0, 0)), HasSense(SenseKey::IllegalRequest, asc::kInvalidOpcode));
}

// For any other command than that there is nothing to do.
TEST(Flush, ThatAHandlerDoesNotHaveFailsNoCommandThatNeedsOne) {
  TestLun lun({.geometry = thin()});
  lun.device.fail(OpKind::Flush, IoStatus::NotSupported);
  constexpr std::uint8_t kFua = 0x08, kUnmap = 0x08;
  EXPECT_THAT(lun.get(read10(Lba{0}, BlockCount{1}, kFua)).reply, IsGood());
  EXPECT_THAT(lun.run(extent_cdb(0x2f, Lba{0}, BlockCount{1})), IsGood());  // VERIFY
  EXPECT_THAT(lun.run(start_stop(0)), IsGood());
  EXPECT_THAT(select_caching(lun, false), IsGood());
  const Bytes unmapped = unmap_list({{0, 8}});
  EXPECT_THAT(lun.put(unmap_cdb(unmapped.size()), unmapped), IsGood());
  EXPECT_THAT(lun.put(write_same10(Lba{0}, BlockCount{8}, kUnmap), lun.block_of(0)), IsGood());
  const Bytes swp{0, 0, 0, 0, 0x0a, 0x0a, 0x02, 0x10, 0x08, 0x40, 0, 0, 0xff, 0xff, 0, 0};
  EXPECT_THAT(lun.put(select6(swp.size()), swp), IsGood());
  EXPECT_EQ(std::ranges::count(lun.device.ops, OpKind::Flush, &Op::kind), 7);
}

TEST(StartStopUnit, StartingIsGoodAndStoppingFlushes) {
  TestLun lun;
  EXPECT_THAT(lun.run(start_stop(0x01)), IsGood());
  EXPECT_THAT(lun.device.ops, IsEmpty());
  EXPECT_THAT(lun.run(start_stop(0x00)), IsGood());
  EXPECT_THAT(lun.device.ops, ElementsAre(Op{OpKind::Flush}));
  EXPECT_THAT(lun.run(start_stop(0x04)), IsGood());  // NO_FLUSH
  EXPECT_EQ(lun.device.ops.size(), 1u);
  EXPECT_THAT(lun.run(test_unit_ready_cdb()), IsGood());
}

TEST(StartStopUnit, PowerConditionsAndEjectingAreRefused) {
  TestLun lun;
  EXPECT_THAT(lun.run(start_stop(0x20)), PointsAtCdb(4, 7));
  EXPECT_THAT(lun.run(start_stop(0x02)), PointsAtCdb(4, 1));
  EXPECT_THAT(lun.run(start_stop(0x01, 0x01)), PointsAtCdb(3, 3));
}

Bytes rsoc(std::uint8_t options, std::uint8_t opcode = 0, std::uint16_t action = 0,
           std::uint16_t allocation = 4000) {
  return {0xa3,
          0x0c,
          options,
          opcode,
          static_cast<std::uint8_t>(action >> 8),
          static_cast<std::uint8_t>(action),
          0,
          0,
          static_cast<std::uint8_t>(allocation >> 8),
          static_cast<std::uint8_t>(allocation),
          0,
          0};
}

TEST(ReportSupportedOpcodes, ListsExactlyTheTableAndWhatTheKernelAnswers) {
  TestLun lun({.geometry = able()});
  const Bytes data = lun.get(rsoc(0)).data;
  ASSERT_EQ(u32(data, 0) + 4, data.size());
  ASSERT_EQ(data.size(), 4 + 8 * (disk().opcodes.size() + 1));
  std::size_t at = 4;
  for (const OpcodeRow& row : disk().opcodes) {
    EXPECT_EQ(data[at], row.opcode);
    EXPECT_EQ(data[at + 3], row.has_service_action() ? row.service_action : 0);
    EXPECT_EQ(data[at + 5], row.has_service_action() ? 0x11 : 0x10);  // MLU 01b, SERVACTV, no CTDP
    EXPECT_EQ(data[at + 7], row.cdb_bytes());
    at += 8;
  }
  EXPECT_THAT(Bytes(data.end() - 8, data.end()), ElementsAre(0xa0, 0, 0, 0, 0, 0x10, 0, 12));
}

TEST(ReportSupportedOpcodes, AddsTimeoutsDescriptorsIfAsked) {
  TestLun lun({.geometry = able()});
  const Bytes data = lun.get(rsoc(0x80)).data;
  ASSERT_EQ(data.size(), 4 + 20 * (disk().opcodes.size() + 1));
  std::size_t at = 4;
  for (const OpcodeRow& row : disk().opcodes) {
    EXPECT_EQ(data[at + 5] & 0x02, 0x02);  // CTDP
    EXPECT_EQ(data[at + 8] << 8 | data[at + 9], 0x0a);
    EXPECT_EQ(u32(data, at + 12), 0u);  // nominal: not known
    EXPECT_EQ(u32(data, at + 16), row.special.timeout_s);
    EXPECT_GE(row.special.timeout_s, 30);
    at += 20;
  }
}

TEST(ReportSupportedOpcodes, RecommendMorePatienceWithAFlush) {
  TestLun lun;
  EXPECT_EQ(u32(lun.get(rsoc(0x81, 0x28)).data, 4 + 10 + 8), 30u);
  EXPECT_EQ(u32(lun.get(rsoc(0x81, 0x35)).data, 4 + 10 + 8), 60u);
}

TEST(ReportSupportedOpcodes, EachListedCommandCanBeAskedForInItsWayAndShowsItsUsage) {
  TestLun lun({.geometry = able()});
  for (const OpcodeRow& row : disk().opcodes) {
    const std::uint8_t right = row.has_service_action() ? 2 : 1;
    const std::uint8_t wrong = row.has_service_action() ? 1 : 2;
    const auto action = static_cast<std::uint16_t>(row.has_service_action() ? row.service_action : 0);
    EXPECT_THAT(lun.get(rsoc(wrong, row.opcode, action)).reply,
                HasSense(SenseKey::IllegalRequest, asc::kInvalidFieldInCdb));
    for (const std::uint8_t options : {right, std::uint8_t{3}}) {
      const Bytes data = lun.get(rsoc(options, row.opcode, action)).data;
      ASSERT_EQ(data.size(), 4 + row.cdb_bytes());
      EXPECT_EQ(data[1], 0x23);  // supported, MLU 01b
      EXPECT_EQ(data[3], row.cdb_bytes());
      EXPECT_TRUE(std::equal(data.begin() + 4, data.end(), row.usage.begin()));
    }
    const Bytes timed = lun.get(rsoc(0x80 | right, row.opcode, action)).data;
    EXPECT_EQ(timed.size(), 4 + row.cdb_bytes() + 12);
    EXPECT_EQ(timed[1], 0xa3);
  }
}

// It never gets here, but the disk has it.
TEST(ReportSupportedOpcodes, TellOfReportLunsWhichIsStillUnknownToDispatch) {
  TestLun lun;
  const Bytes data = lun.get(rsoc(1, 0xa0)).data;
  ASSERT_EQ(data.size(), 4u + 12);
  EXPECT_EQ(data[1] & 0x07, 0x03);
  EXPECT_EQ(data[4], 0xa0);
  EXPECT_THAT(lun.get(rsoc(2, 0xa0)).reply, HasSense(SenseKey::IllegalRequest, asc::kInvalidFieldInCdb));
  EXPECT_THAT(lun.run({0xa0, 0, 0, 0, 0, 0, 0, 0, 0, 16, 0, 0}),
              HasSense(SenseKey::IllegalRequest, asc::kInvalidOpcode));
}

// What Linux's sd asks before it uses WRITE SAME(16) (scsi_report_opcode): SUPPORT 011b, whatever else is
// set.
TEST(ReportSupportedOpcodes, LetLinuxUseWriteSame16) {
  TestLun lun({.geometry = thin()});
  EXPECT_EQ(lun.get(rsoc(1, 0x93)).data.at(1) & 0x03, 0x03);
}

TEST(ReportSupportedOpcodes, WhatIsNotThereIsReportedAsNotSupported) {
  TestLun lun;
  EXPECT_THAT(lun.get(rsoc(1, 0xd0)).data, ElementsAre(0, 0x01, 0, 0));
  EXPECT_THAT(lun.get(rsoc(2, 0x9e, 0x1f)).data, ElementsAre(0, 0x01, 0, 0));
  EXPECT_THAT(lun.get(rsoc(3, 0x28, 0x01)).data, ElementsAre(0, 0x01, 0, 0));
}

TEST(ReportSupportedOpcodes, ADeviceThatCannotDiscardHasNoUnmapAndNoUnmapBit) {
  TestLun lun;
  const Bytes all = lun.get(rsoc(0)).data;
  for (std::size_t at = 4; at < all.size(); at += 8) EXPECT_NE(all[at], 0x42);
  EXPECT_THAT(lun.get(rsoc(1, 0x42)).data, ElementsAre(0, 0x01, 0, 0));
  EXPECT_EQ(lun.get(rsoc(1, 0x93)).data.at(4 + 1), 0x01);  // NDOB alone
}

TEST(ReportSupportedOpcodes, ReservedOptionsAreRefusedAndTheAllocationLengthIsKept) {
  TestLun lun;
  EXPECT_THAT(lun.get(rsoc(4)).reply, PointsAtCdb(2, 2));
  EXPECT_EQ(lun.get(rsoc(0, 0, 0, 10)).data.size(), 10u);
}

TEST(Commands, MoreThanAgreedAreTurnedAwayWithTaskSetFull) {
  TestLun lun({.max_commands = 2});
  lun.device.hold(true);
  TestCommand& first = lun.start(write10(Lba{0}, BlockCount{1}), lun.block_of(1));
  lun.start(write10(Lba{1}, BlockCount{1}), lun.block_of(1));
  TestCommand& third = lun.start(write10(Lba{2}, BlockCount{1}), lun.block_of(1));
  EXPECT_EQ(third.reply().status, 0x28);
  EXPECT_EQ(lun.unit.under_way(), 2u);
  lun.device.finish();
  EXPECT_THAT(first.reply(), IsGood());
  EXPECT_FALSE(lun.start(write10(Lba{2}, BlockCount{1}), lun.block_of(1)).answered());
  lun.device.finish_all();
  EXPECT_EQ(lun.unit.under_way(), 0u);
}

TEST(Commands, AWriteThatWaitedWhileTheDeviceShrankDoesNotReachTheHandler) {
  TestLun lun({.blocks = BlockCount{64}});
  lun.device.hold(true);
  lun.start(write10(Lba{40}, BlockCount{1}), lun.block_of(1));
  TestCommand& waiting = lun.start(write10(Lba{40}, BlockCount{1}), lun.block_of(2));
  lun.unit.resized({32 * 512});
  lun.device.finish();
  EXPECT_THAT(waiting.reply(), HasSense(SenseKey::IllegalRequest, asc::kLbaOutOfRange));
  EXPECT_EQ(lun.device.ops.size(), 1u);
  EXPECT_THAT(lun.services.lines, IsEmpty()) << "nothing is wrong with the back end";
}

TEST(Commands, ReadOnlyFollowsTheDevice) {
  TestLun lun;
  EXPECT_FALSE(lun.unit.read_only());
  lun.device.geometry_to_change().read_only = true;
  lun.unit.resized({64 * 512});
  EXPECT_TRUE(lun.unit.read_only());
}

TEST(CommandsDeathTest, AUnitIsNotDestroyedUnderACommand) {
  EXPECT_DEATH(
      {
        TestLun lun;
        lun.identity.hold = true;
        lun.start(inquiry_of());
      },
      "invariant broken");
}

}  // namespace
}  // namespace bulkhead::scsi
