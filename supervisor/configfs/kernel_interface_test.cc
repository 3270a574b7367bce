#include "supervisor/configfs/kernel_interface.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "supervisor/configfs/fake_sysfs.h"

namespace bulkhead::supervisor {
namespace {

using testing::HasSubstr;

constexpr const char* kParameters = "/sys/module/target_core_user/parameters";

TEST(KernelInterface, EachMissingPartIsAnsweredWithItsCommand) {
  const FakeSysfs sysfs;
  auto remedy = [&] { return check_kernel_interface(sysfs.root()).error().what; };
  EXPECT_THAT(remedy(), HasSubstr("modprobe target_core_user"));
  sysfs.put("/sys/module/target_core_user/version", "2.0\n");
  EXPECT_THAT(remedy(), HasSubstr("modprobe configfs"));
  sysfs.put("/sys/kernel/config/.keep", "");
  sysfs.put("/proc/self/mounts", "sysfs /sys sysfs rw 0 0\n");
  EXPECT_THAT(remedy(), HasSubstr("mount -t configfs none /sys/kernel/config"));
  sysfs.put("/proc/self/mounts", "configfs /sys/kernel/config configfs rw 0 0\n");
  EXPECT_THAT(remedy(), HasSubstr("modprobe target_core_mod"));
  sysfs.put("/sys/kernel/config/target/core/.keep", "");
  EXPECT_TRUE(check_kernel_interface(sysfs.root()).has_value());
}

TEST(KernelInterface, LoadedModuleIsNotLoadedAgain) {
  const FakeSysfs sysfs;
  sysfs.put("/sys/module/target_core_user/version", "2.0\n");
  EXPECT_TRUE(load_tcmu_module(sysfs.root()).has_value());
}

TEST(KernelInterface, EndingWaitsLeavesNetlinkUnblocked) {
  const FakeSysfs sysfs;
  sysfs.put(std::string(kParameters) + "/block_netlink", "unblocked\n");
  sysfs.put(std::string(kParameters) + "/reset_netlink", "");
  ASSERT_TRUE(end_pending_netlink_waits(sysfs.root()).has_value());
  EXPECT_EQ(sysfs.get(std::string(kParameters) + "/reset_netlink"), "1");
  EXPECT_EQ(sysfs.get(std::string(kParameters) + "/block_netlink").substr(0, 1), "0");
}

TEST(KernelInterface, FailedResetIsReportedAndStillLeavesNetlinkUnblocked) {
  const FakeSysfs sysfs;
  sysfs.put(std::string(kParameters) + "/block_netlink", "unblocked\n");
  EXPECT_THAT(end_pending_netlink_waits(sysfs.root()).error().what, HasSubstr("reset_netlink"));
  EXPECT_EQ(sysfs.get(std::string(kParameters) + "/block_netlink").substr(0, 1), "0");
}

TEST(KernelInterface, OldKernelWithoutTheSwitchesHasNothingToReset) {
  const FakeSysfs sysfs;
  sysfs.put("/sys/module/target_core_user/version", "2.0\n");
  EXPECT_TRUE(end_pending_netlink_waits(sysfs.root()).has_value());
  sysfs.remove("/sys/module");
  EXPECT_EQ(end_pending_netlink_waits(sysfs.root()).error().cause, Cause::NotFound);
}

}  // namespace
}  // namespace bulkhead::supervisor
