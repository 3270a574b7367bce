#include "supervisor/configfs/backstore.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "supervisor/configfs/fake_sysfs.h"

namespace bulkhead::supervisor {
namespace {

using testing::HasSubstr;

const UioName kName{"user_7", "d0", "file//a"};
constexpr const char* kFolder = "/sys/kernel/config/target/core/user_7/d0";

// The values are what 6.1 shows.
class BackstoreTest : public testing::Test {
 protected:
  BackstoreTest() {
    put("attrib/dev_size", "1073741824\n");
    put("attrib/hw_block_size", "512\n");
    put("attrib/hw_max_sectors", "128\n");
    put("attrib/emulate_write_cache", "1\n");
    put("attrib/cmd_time_out", "30\n");
    put("wwn/vpd_unit_serial", "T10 VPD Unit Serial Number: 1a2b: c\n");
    put("wwn/vendor_id", "LIO-ORG\n");
    put("wwn/product_id", "TCMU device\n");
    put("wwn/revision", "0002\n");
    put("statistics/scsi_dev/indx", "5\n");
    put("action/block_dev", "unblocked\n");
    put("enable", "1\n");
  }
  void put(const std::string& file, const std::string& text) const {
    sysfs_.put(std::string(kFolder) + "/" + file, text);
  }
  void remove(const std::string& file) const { sysfs_.remove(std::string(kFolder) + "/" + file); }
  std::string get(const std::string& file) const { return sysfs_.get(std::string(kFolder) + "/" + file); }

  FakeSysfs sysfs_;
  Backstore backstore_{sysfs_.root(), kName};
};

TEST_F(BackstoreTest, FactsComeFromAttributes) {
  const Result<BackstoreFacts> facts = backstore_.facts();
  ASSERT_TRUE(facts.has_value()) << facts.error().what;
  EXPECT_EQ(facts->size, ByteCount{1073741824});
  EXPECT_EQ(facts->block_bytes, 512u);
  EXPECT_EQ(facts->max_sectors, 128u);
  EXPECT_TRUE(facts->write_cache);
  EXPECT_EQ(facts->command_timeout_s, 30u);
}

TEST_F(BackstoreTest, WithoutDevSizeTheLastSizeOfInfoCountsWhateverTheConfigSays) {
  remove("attrib/dev_size");
  put("info",
      "Status: ACTIVATED  Max Queue Depth: 0\n"
      "        Config: file/ Size: 99 MaxDataAreaMB: 1 Size: 4096 MaxDataAreaMB: 1024 DataPagesPerBlk: 1\n");
  EXPECT_EQ(backstore_.facts()->size, ByteCount{4096});
}

TEST_F(BackstoreTest, MissingOrGarbledAttributeIsNamed) {
  put("attrib/hw_block_size", "-512\n");
  EXPECT_THAT(backstore_.facts().error().what, HasSubstr("attrib/hw_block_size: \"-512\" is not a number"));
  remove("attrib/hw_block_size");
  EXPECT_THAT(backstore_.facts().error().what, HasSubstr("attrib/hw_block_size: No such file"));
}

TEST_F(BackstoreTest, IdentityIsTextAfterTheLabelAndMayBeUnset) {
  EXPECT_EQ(backstore_.identity()->unit_serial, "1a2b: c");
  EXPECT_EQ(backstore_.identity()->product, "TCMU device");
  put("wwn/vpd_unit_serial", "T10 VPD Unit Serial Number: \n");
  EXPECT_EQ(backstore_.identity()->unit_serial, "");
  remove("wwn/revision");
  EXPECT_EQ(backstore_.identity()->revision, "");
}

TEST_F(BackstoreTest, DeviceIdIsTheStatisticsIndex) {
  EXPECT_EQ(backstore_.device_id(), 5u);
}

TEST_F(BackstoreTest, BlockedIsWritten) {
  ASSERT_TRUE(backstore_.set_blocked(Blocked::Yes).has_value());
  EXPECT_EQ(get("action/block_dev").substr(0, 1), "1");
  ASSERT_TRUE(backstore_.set_blocked(Blocked::No).has_value());
  EXPECT_EQ(get("action/block_dev").substr(0, 1), "0");
}

TEST_F(BackstoreTest, ResetRingWritesTheKernelsNumber) {
  put("action/reset_ring", "-");
  ASSERT_TRUE(backstore_.reset_ring(ResetRing::CheckCondition).has_value());
  EXPECT_EQ(get("action/reset_ring"), "2");
  ASSERT_TRUE(backstore_.reset_ring(ResetRing::Busy).has_value());
  EXPECT_EQ(get("action/reset_ring"), "1");
}

TEST_F(BackstoreTest, KernelWithoutResetRingSaysNotFoundWithThePath) {
  const Result<> reset = backstore_.reset_ring(ResetRing::Busy);
  ASSERT_FALSE(reset.has_value());
  EXPECT_EQ(reset.error().cause, Cause::NotFound);
  EXPECT_THAT(reset.error().what, HasSubstr("user_7/d0/action/reset_ring"));
}

TEST_F(BackstoreTest, TaskManagementIsAskedForWhereTheKernelHasIt) {
  EXPECT_EQ(backstore_.ask_for_task_management().error().cause, Cause::NotFound);
  put("attrib/tmr_notification", "0");
  ASSERT_TRUE(backstore_.ask_for_task_management().has_value());
  EXPECT_EQ(get("attrib/tmr_notification"), "1");
}

TEST_F(BackstoreTest, ConfiguredIsWhatEnableSays) {
  EXPECT_EQ(backstore_.configured(), true);
  put("enable", "0\n");
  EXPECT_EQ(backstore_.configured(), false);
  remove("enable");
  EXPECT_EQ(backstore_.configured().error().cause, Cause::NotFound);
}

}  // namespace
}  // namespace bulkhead::supervisor
