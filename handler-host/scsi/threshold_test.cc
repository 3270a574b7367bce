// The warning that room becomes scarce behind a thin unit, and where initiators read about it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "handler-host/scsi/testing/test_lun.h"

namespace bulkhead::scsi {
namespace {

using namespace testing;
using handler::IoStatus;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr std::uint64_t kMiB = 1 << 20;

LunShape watched(handler::Space room) {
  handler::Geometry geometry = thin();
  geometry.tells_space = true;
  return {.blocks = BlockCount{100 * kMiB / 512}, .geometry = geometry, .room = room};
}

// A unit of 100 MiB, so a threshold of 10; a look at each call of pass().
class Threshold : public ::testing::Test {
 protected:
  // Space used, and left behind the unit.
  void pass(std::uint64_t used_mib, std::uint64_t left_bytes) {
    lun.device.room = handler::Space{{used_mib * kMiB}, {left_bytes}};
    lun.services.run_timers();
  }
  [[nodiscard]] bool warned() {
    const Reply reply = lun.run(test_unit_ready_cdb());
    if (reply.status == 0) return false;
    EXPECT_THAT(reply, HasSense(SenseKey::UnitAttention, asc::kSoftThresholdReached));
    EXPECT_THAT(lun.run(test_unit_ready_cdb()), IsGood());
    return true;
  }
  TestLun lun{watched({})};
};

TEST_F(Threshold, IsToldOnceUntilThereWasRoomAgain) {
  pass(0, 50 * kMiB);
  EXPECT_FALSE(warned());
  pass(0, 5 * kMiB);
  EXPECT_TRUE(warned());
  pass(0, 4 * kMiB);
  pass(0, 0);
  EXPECT_FALSE(warned());
  pass(0, 20 * kMiB);
  EXPECT_FALSE(warned());
  pass(0, 9 * kMiB);
  EXPECT_TRUE(warned());
}

// SBC-4: the threshold range is a threshold set wide, around the count.
TEST_F(Threshold, HasARangeInWhichNothingChanges) {
  const std::uint64_t half = kMiB / 2;
  pass(0, 10 * kMiB - half);
  EXPECT_FALSE(warned());
  pass(0, 10 * kMiB - half - 1);
  EXPECT_TRUE(warned());
  pass(0, 10 * kMiB + half);  // not armed again by that
  pass(0, 0);
  EXPECT_FALSE(warned());
  pass(0, 10 * kMiB + half + 1);
  pass(0, 0);
  EXPECT_TRUE(warned());
}

TEST_F(Threshold, RoomForEveryMissingBlockIsEnough) {
  pass(97, 3 * kMiB);
  EXPECT_FALSE(warned());
  pass(100, 0);
  EXPECT_FALSE(warned());
  pass(101, 0);  // metadata
  EXPECT_FALSE(warned());
  pass(97, 3 * kMiB - 1);
  EXPECT_TRUE(warned());
}

TEST_F(Threshold, ThatIsOverBeforeItWasToldIsNotTold) {
  pass(0, kMiB);
  pass(0, 50 * kMiB);
  EXPECT_FALSE(warned());
  EXPECT_THAT(lun.services.lines, ElementsAre(HasSubstr("1048576 bytes are left"), HasSubstr("enough room")));
}

TEST_F(Threshold, ComesAfterTheCapacity) {
  pass(0, kMiB);
  lun.unit.resized({200 * kMiB});
  EXPECT_THAT(lun.run(test_unit_ready_cdb()),
              HasSense(SenseKey::UnitAttention, asc::kCapacityDataHasChanged));
  EXPECT_TRUE(warned());
}

TEST_F(Threshold, ABackEndThatFailsIsAskedAgain) {
  lun.device.fail(OpKind::Space, IoStatus::ReadError);
  pass(0, 0);
  EXPECT_FALSE(warned());
  lun.device.fail(OpKind::Space, IoStatus::Ok);
  pass(0, 0);
  EXPECT_TRUE(warned());
}

TEST_F(Threshold, ALookIsUnderWayUntilItIsAnswered) {
  lun.device.hold(true);
  pass(0, 0);
  EXPECT_EQ(lun.unit.under_way(), 1u);
  EXPECT_THAT(lun.services.timers, IsEmpty());
  lun.device.finish_all();
  EXPECT_EQ(lun.unit.under_way(), 0u);
  EXPECT_EQ(lun.services.timers.size(), 1u);
}

TEST(ThresholdNobodyWatches, WithoutThinProvisioningOrAnAnswer) {
  LunShape thick = watched({});
  thick.geometry.can_discard = false;
  LunShape silent = watched({});
  silent.geometry.tells_space = false;
  for (const LunShape& shape : {thick, silent}) {
    TestLun lun(shape);
    EXPECT_THAT(lun.services.timers, IsEmpty());
    EXPECT_EQ(lun.get(vpd(0xb2)).data[4], 0);
    EXPECT_THAT(lun.get({0x5a, 0x08, 0x1c, 0x02, 0, 0, 0, 0, 255, 0}).reply,
                HasSense(SenseKey::IllegalRequest, asc::kInvalidFieldInCdb));
  }
}

TEST_F(Threshold, TheSetSizeIsInTheVpdPage) {
  EXPECT_EQ(lun.get(vpd(0xb2)).data[4], 11);  // 2^11 blocks: 1 MiB
}

TEST_F(Threshold, IsInTheLogicalBlockProvisioningModePage) {
  const Bytes page{0x5c, 0x02, 0, 20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x80, 0x01, 0, 0, 0, 0, 0, 10};
  const auto of = [&](std::uint8_t control) {
    const Bytes data =
        lun.get({0x5a, 0x08, static_cast<std::uint8_t>(control << 6 | 0x1c), 0x02, 0, 0, 0, 0, 255, 0}).data;
    return Bytes(data.begin() + 8, data.end());
  };
  EXPECT_EQ(of(0), page);
  EXPECT_EQ(of(2), page);
  EXPECT_EQ(of(1), (Bytes{0x5c, 0x02, 0, 20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}));
}

TEST_F(Threshold, TheModePageIsTakenBackAndNothingElseIs) {
  Bytes list = lun.get({0x5a, 0x08, 0x1c, 0x02, 0, 0, 0, 0, 255, 0}).data;
  list[1] = 0;
  const Bytes cdb{0x55, 0x10, 0, 0, 0, 0, 0, 0, static_cast<std::uint8_t>(list.size()), 0};
  EXPECT_THAT(lun.put(cdb, list), IsGood());
  list[8 + 16] = 0x00;  // ENABLED
  const Reply reply = lun.put(cdb, list);
  EXPECT_THAT(reply, HasSense(SenseKey::IllegalRequest, asc::kInvalidFieldInParameterList));
  EXPECT_THAT(reply, PointsAtList(8 + 16, 7));
}

}  // namespace
}  // namespace bulkhead::scsi
