// What may be done without the unit, by an I/O grant: never what it would have answered in another way.
#include <gtest/gtest.h>

#include "handler-host/scsi/testing/mode_lists.h"
#include "handler-host/scsi/testing/test_lun.h"

namespace bulkhead::scsi {
namespace {

using namespace testing;

constexpr std::uint8_t kControlPage = 0x0a, kSwp = 0x08;
constexpr Granted kNothing{}, kReads{.reads = true}, kAll{.reads = true, .writes = true};

TEST(Granted, AllOnceACommandHasCome) {
  TestLun lun;
  EXPECT_EQ(lun.unit.granted(), kNothing);
  EXPECT_THAT(lun.run(test_unit_ready_cdb()), IsGood());
  EXPECT_EQ(lun.unit.granted(), kAll);
}

TEST(Granted, NothingWhileAUnitAttentionIsToBeTold) {
  TestLun lun;
  lun.run(test_unit_ready_cdb());
  lun.unit.resized({65 * 512});
  EXPECT_EQ(lun.unit.granted(), kNothing);
  lun.run(test_unit_ready_cdb());
  EXPECT_EQ(lun.unit.granted(), kAll);
}

TEST(Granted, NoWritesToAReadOnlyUnit) {
  TestLun lun({.geometry = read_only()});
  lun.run(test_unit_ready_cdb());
  EXPECT_EQ(lun.unit.granted(), kReads);
}

TEST(Granted, NoWritesWithoutAWriteCache) {
  TestLun lun;
  lun.run(test_unit_ready_cdb());
  lun.switch_cache_off();
  lun.run(test_unit_ready_cdb());  // tells of the mode parameters' change
  EXPECT_EQ(lun.unit.granted(), kReads);
}

TEST(Granted, NoWritesOnceAnInitiatorHasProtectedTheMedium) {
  TestLun lun;
  lun.run(test_unit_ready_cdb());
  Bytes list = lun.get({0x1a, kDbd, kControlPage, 0, 255, 0}).data;
  list[0] = 0;
  list[4 + 4] = kSwp;
  ASSERT_THAT(lun.put(select6(list.size()), list), IsGood());
  EXPECT_EQ(lun.unit.granted(), kReads);
}

TEST(Granted, NoWritesUntilALossIsTold) {
  TestLun lun;
  lun.run(test_unit_ready_cdb());
  lun.unit.writes_lost();
  EXPECT_EQ(lun.unit.granted(), kReads);
  EXPECT_THAT(lun.run(extent_cdb(0x35, Lba{0}, BlockCount{0})),
              HasSense(SenseKey::HardwareError, asc::kWriteError));
  EXPECT_EQ(lun.unit.granted(), kAll);
  lun.device.lost = true;
  EXPECT_EQ(lun.unit.granted(), kReads);
}

TEST(Granted, NothingWhileTheMediumIsFormattedOrSanitized) {
  TestLun lun({.geometry = able()});
  lun.run(test_unit_ready_cdb());
  lun.device.hold(true);
  // SANITIZE, OVERWRITE with IMMED: answered at once, and goes on working.
  ASSERT_THAT(lun.start({0x48, 0x81, 0, 0, 0, 0, 0, 0, 5, 0}, {1, 0, 0, 1, 0}).reply(), IsGood());
  EXPECT_EQ(lun.unit.granted(), kNothing);
  lun.device.hold(false);
  lun.device.finish_all();
  EXPECT_EQ(lun.unit.granted(), kAll);
}

}  // namespace
}  // namespace bulkhead::scsi
