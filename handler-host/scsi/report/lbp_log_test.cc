#include "handler-host/scsi/report/lbp_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "handler-host/scsi/testing/test_lun.h"
#include "handler-host/scsi/threshold_sets.h"

namespace bulkhead::scsi {
namespace {

using namespace testing;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::Not;

constexpr unsigned kShift512 = 9;

TEST(ThresholdSets, AreOfOneMebibyteUpToACountOf32Bits) {
  const ThresholdSets small({64}, kShift512);
  EXPECT_EQ(small.exponent(), 11);
  EXPECT_EQ(small.set_bytes(), 1u << 20);
  EXPECT_EQ(ThresholdSets({64}, 12).exponent(), 8);
  EXPECT_EQ(ThresholdSets({64}, 16).exponent(), 4);  // never 0, which says that there are none
}

// SBC-4: capacity / 2^exponent < 2^32.
TEST(ThresholdSets, GrowWithTheCapacity) {
  for (unsigned bits = 1; bits <= 54; ++bits) {
    for (const std::uint64_t capacity : {(std::uint64_t{1} << bits) - 1, std::uint64_t{1} << bits}) {
      const ThresholdSets sets({capacity}, kShift512);
      EXPECT_LT(capacity >> sets.exponent(), std::uint64_t{1} << 32) << bits;
    }
  }
  EXPECT_EQ(ThresholdSets({std::uint64_t{1} << 54}, kShift512).exponent(), 23);
}

TEST(ThresholdSets, CountWholeOnesOrBegunOnes) {
  const ThresholdSets sets({64}, kShift512);
  EXPECT_EQ(sets.count({(1 << 20) - 1}), 0u);
  EXPECT_EQ(sets.count_up({(1 << 20) - 1}), 1u);
  EXPECT_EQ(sets.count({3 << 20}), 3u);
  EXPECT_EQ(sets.count_up({3 << 20}), 3u);
  EXPECT_EQ(sets.count_up({0}), 0u);
  EXPECT_EQ(sets.count({UINT64_MAX}), 0xffffffffu);
  EXPECT_EQ(sets.count_up({UINT64_MAX}), 0xffffffffu);
}

Bytes log_sense(std::uint8_t page) {
  return {0x4d, 0, static_cast<std::uint8_t>(0x40 | page), 0, 0, 0, 0, 1, 0, 0};
}

LunShape thin_with_room(handler::Space room) {
  LunShape shape{.blocks = BlockCount{1024}, .geometry = thin(), .room = room};
  shape.geometry.tells_space = true;
  return shape;
}

// Windows and smartctl show these.
TEST(LbpLog, TellsAvailableAndUsedThresholdSets) {
  TestLun lun(thin_with_room(
      handler::Space{.used = {(5 << 20) + 1}, .available = {(std::uint64_t{0x102} << 20) + 7}}));
  const Answer answer = lun.get(log_sense(kLbpLogPage));
  ASSERT_THAT(answer.reply, IsGood());
  EXPECT_THAT(answer.data, ElementsAre(0x8c, 0, 0, 24,                              // DS, the page
                                       0, 1, 0x23, 8, 0, 0, 1, 2, 0x02, 0, 0, 0,    // shared with others
                                       0, 2, 0x23, 8, 0, 0, 0, 6, 0x01, 0, 0, 0));  // the unit's own
  EXPECT_THAT(lun.get(log_sense(0x00)).data, Contains(kLbpLogPage));
}

TEST(LbpLog, IsNotThereForADeviceThatCanNotTell) {
  TestLun lun({.geometry = thin()});
  EXPECT_THAT(lun.get(log_sense(kLbpLogPage)).reply,
              HasSense(SenseKey::IllegalRequest, asc::kInvalidFieldInCdb));
  EXPECT_THAT(lun.get(log_sense(0x00)).data, Not(Contains(kLbpLogPage)));
}

TEST(LbpLog, FailsIfTheBackEndDoes) {
  TestLun lun(thin_with_room(handler::Space{}));
  lun.device.fail(OpKind::Space, handler::IoStatus::ReadError);
  EXPECT_EQ(lun.get(log_sense(kLbpLogPage)).reply.status, 0x02);
}

}  // namespace
}  // namespace bulkhead::scsi
