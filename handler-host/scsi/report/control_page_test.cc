// What the Control mode page switches, and who is told that mode pages have changed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "handler-host/scsi/testing/mode_lists.h"
#include "handler-host/scsi/testing/test_lun.h"

namespace bulkhead::scsi {
namespace {

using namespace testing;
using handler::IoStatus;

constexpr std::uint8_t kDefault = 0x80;
constexpr std::uint8_t kControlPage = 0x0a;
constexpr std::uint8_t kDSense = 0x04;  // of byte 2
constexpr std::uint8_t kSwp = 0x08;     // of byte 4

Bytes sense6(std::uint8_t page) {
  return {0x1a, kDbd, page, 0, 255, 0};
}
Bytes sense10(std::uint8_t page) {
  return {0x5a, kDbd, page, 0, 0, 0, 0, 2, 0, 0};
}
// A MODE SELECT(6) list of the control page as it is, with these two bits.
Bytes control_list(TestLun& lun, bool d_sense, bool swp) {
  Bytes list = lun.get(sense6(kControlPage)).data;
  list[0] = 0;
  list[4 + 2] = static_cast<std::uint8_t>((list[4 + 2] & ~kDSense) | (d_sense ? kDSense : 0));
  list[4 + 4] = static_cast<std::uint8_t>((list[4 + 4] & ~kSwp) | (swp ? kSwp : 0));
  return list;
}
Reply select_control(TestLun& lun, bool d_sense, bool swp) {
  const Bytes list = control_list(lun, d_sense, swp);
  return lun.put(select6(list.size()), list);
}

// SPC-4, "Control mode page": D_SENSE.
TEST(DescriptorSense, IsReturnedFromWhenItIsSwitchedOnUntilItIsSwitchedOff) {
  TestLun lun({.blocks = BlockCount{64}});
  EXPECT_THAT(select_control(lun, true, false), IsGood());
  EXPECT_TRUE(lun.device.ops.empty());
  EXPECT_EQ(lun.get(sense6(kControlPage)).data[4 + 2] & kDSense, kDSense);
  EXPECT_EQ(lun.get(sense6(kDefault | kControlPage)).data[4 + 2] & kDSense, 0);
  Reply reply = lun.run(write10(Lba{64}, BlockCount{1}));
  EXPECT_TRUE(is_descriptor_sense(reply));
  EXPECT_THAT(reply, HasSense(SenseKey::IllegalRequest, asc::kLbaOutOfRange));
  reply = lun.run({0x00, 0, 0, 0x04, 0, 0});
  EXPECT_TRUE(is_descriptor_sense(reply));
  EXPECT_THAT(reply, PointsAtCdb(3, 2));
  lun.device.fail(OpKind::Read, IoStatus::ReadError);
  reply = lun.get(read10(Lba{0}, BlockCount{1})).reply;
  EXPECT_TRUE(is_descriptor_sense(reply));
  EXPECT_THAT(reply, HasSense(SenseKey::MediumError, asc::kUnrecoveredReadError));

  EXPECT_THAT(select_control(lun, false, false), IsGood());
  reply = lun.run(write10(Lba{64}, BlockCount{1}));
  EXPECT_FALSE(is_descriptor_sense(reply));
  EXPECT_THAT(reply, HasSense(SenseKey::IllegalRequest, asc::kLbaOutOfRange));
}

// What REQUEST SENSE returns is for its own DESC bit to say (SPC-4, "REQUEST SENSE command").
TEST(DescriptorSense, DoesNotChangeTheDataOfRequestSense) {
  TestLun lun;
  EXPECT_THAT(select_control(lun, true, false), IsGood());
  EXPECT_EQ(lun.get({0x03, 0, 0, 0, 252, 0}).data[0], 0x70);
  EXPECT_EQ(lun.get({0x03, 1, 0, 0, 252, 0}).data[0], 0x72);
}

TEST(SoftwareWriteProtect, RefusesWritesAfterWhatIsCachedWasWritten) {
  TestLun lun;
  lun.device.hold(true);
  TestCommand& write = lun.start(write10(Lba{0}, BlockCount{1}), lun.block_of(1));
  const Bytes list = control_list(lun, false, true);
  TestCommand& select = lun.start(select6(list.size()), list);
  // From now on, while earlier writes still go on.
  EXPECT_THAT(lun.put(write10(Lba{9}, BlockCount{1}), lun.block_of(2)),
              HasSense(SenseKey::DataProtect, asc::kWriteProtected));
  ASSERT_EQ(lun.device.held(), 1u);
  lun.device.finish();
  EXPECT_THAT(write.reply(), IsGood());
  EXPECT_FALSE(select.answered());
  EXPECT_EQ(lun.device.held_op(0).kind, OpKind::Flush);
  lun.device.finish();
  EXPECT_THAT(select.reply(), IsGood());
  lun.device.hold(false);
  EXPECT_THAT(lun.get(read10(Lba{0}, BlockCount{1})).reply, IsGood());
  EXPECT_EQ(lun.medium(Lba{0}, BlockCount{1}), lun.block_of(1));
  EXPECT_EQ(lun.medium(Lba{9}, BlockCount{1}), lun.block_of(0));
}

TEST(SoftwareWriteProtect, IsShownAsWpAndCanBeSwitchedOff) {
  TestLun lun;
  EXPECT_THAT(select_control(lun, false, true), IsGood());
  const Bytes data = lun.get(sense6(kControlPage)).data;
  EXPECT_EQ(data[2], 0x90);
  EXPECT_EQ(data[4 + 4] & kSwp, kSwp);
  EXPECT_EQ(lun.get(sense10(kControlPage)).data[3], 0x90);
  EXPECT_FALSE(lun.unit.read_only());  // of the device itself

  EXPECT_THAT(select_control(lun, false, false), IsGood());
  EXPECT_EQ(lun.get(sense6(kControlPage)).data[2], 0x10);
  EXPECT_THAT(lun.put(write10(Lba{9}, BlockCount{1}), lun.block_of(2)), IsGood());
}

TEST(SoftwareWriteProtect, IsNotThereIfTheCacheCannotBeFlushed) {
  TestLun lun;
  lun.device.fail(OpKind::Flush, IoStatus::WriteError);
  EXPECT_THAT(select_control(lun, true, true), HasSense(SenseKey::HardwareError, asc::kWriteError));
  EXPECT_EQ(lun.get(sense6(kControlPage)).data[2], 0x10);
  EXPECT_THAT(lun.put(write10(Lba{9}, BlockCount{1}), lun.block_of(2)), IsGood());
  EXPECT_FALSE(is_descriptor_sense(lun.run({0xd0, 0, 0, 0, 0, 0, 0, 0, 0, 0})));
}

TEST(SoftwareWriteProtect, AFailureLeavesWhatAnotherCommandSetMeanwhile) {
  TestLun lun;
  lun.device.hold(true);
  const Bytes cache_off = caching_list(false);
  TestCommand& first = lun.start(select6(cache_off.size()), cache_off);
  EXPECT_THAT(select_control(lun, true, false), IsGood());
  lun.device.finish(0, IoStatus::WriteError);
  EXPECT_THAT(first.reply(), HasSense(SenseKey::HardwareError, asc::kWriteError));
  EXPECT_TRUE(lun.unit.write_cache());
  EXPECT_TRUE(is_descriptor_sense(lun.run({0xd0, 0, 0, 0, 0, 0, 0, 0, 0, 0})));
}

TEST(ModeParametersChanged, IsReportedOnceWhenTheAdministratorSwitchesTheCache) {
  TestLun lun;
  lun.run(test_unit_ready_cdb());
  lun.switch_cache_off();
  EXPECT_THAT(lun.run(test_unit_ready_cdb()), HasSense(SenseKey::UnitAttention, asc::kModeParametersChanged));
  EXPECT_THAT(lun.run(test_unit_ready_cdb()), IsGood());
  lun.unit.set_write_cache(true, [](const Result<>&) {});
  EXPECT_THAT(lun.run(test_unit_ready_cdb()), HasSense(SenseKey::UnitAttention, asc::kModeParametersChanged));
  lun.unit.set_write_cache(true, [](const Result<>&) {});
  EXPECT_THAT(lun.run(test_unit_ready_cdb()), IsGood());
}

TEST(ModeParametersChanged, IsNotReportedForAFailedSwitchNorForAnInitiatorsOwnNorBeforeTheFirstCommand) {
  TestLun fresh;
  fresh.switch_cache_off();
  EXPECT_THAT(fresh.run(test_unit_ready_cdb()), IsGood());

  TestLun lun;
  EXPECT_THAT(select_caching(lun, false), IsGood());
  EXPECT_THAT(select_caching(lun, true), IsGood());
  EXPECT_THAT(select_control(lun, true, false), IsGood());
  EXPECT_THAT(lun.run(test_unit_ready_cdb()), IsGood());
  lun.device.fail(OpKind::Flush, IoStatus::WriteError);
  lun.unit.set_write_cache(false, [](const Result<>& done) { EXPECT_FALSE(done.has_value()); });
  EXPECT_THAT(lun.run(test_unit_ready_cdb()), IsGood());
}

TEST(ModeParametersChanged, ComesAfterTheCapacityAndIsNotLost) {
  TestLun lun;
  lun.run(test_unit_ready_cdb());
  lun.switch_cache_off();
  lun.unit.resized({65 * 512});
  EXPECT_THAT(lun.run(test_unit_ready_cdb()),
              HasSense(SenseKey::UnitAttention, asc::kCapacityDataHasChanged));
  EXPECT_THAT(lun.run(test_unit_ready_cdb()), HasSense(SenseKey::UnitAttention, asc::kModeParametersChanged));
  EXPECT_THAT(lun.run(test_unit_ready_cdb()), IsGood());
}

}  // namespace
}  // namespace bulkhead::scsi
