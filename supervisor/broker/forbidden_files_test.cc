#include "supervisor/broker/forbidden_files.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "supervisor/configfs/fake_sysfs.h"

namespace bulkhead::supervisor {
namespace {

using ::testing::HasSubstr;

Result<> judge(const std::string& path) {
  const UniqueFd looked(::open(path.c_str(), O_PATH | O_CLOEXEC));
  return refuse_forbidden(looked, path, SysRoot());
}

TEST(RefuseForbidden, FilesOfTheKernel) {
  EXPECT_THAT(judge("/proc/cpuinfo").error().what, HasSubstr("/proc/cpuinfo is one of the kernel's own"));
  EXPECT_EQ(judge("/sys/kernel/mm/transparent_hugepage/enabled").error().sys_errno, EINVAL);
  EXPECT_TRUE(judge("/etc/passwd"));
}

// As the kernel shows the disk sda at 2:0:1:3, with a partition, and the target that it is of.
class Loopback : public ::testing::Test {
 protected:
  Loopback() {
    link("../../block/sda", "/sys/dev/block/8:0");
    link("../../block/sda/sda1", "/sys/dev/block/8:1");
    link("../../../2:0:1:3", "/sys/block/sda/device");
    sysfs_.put("/sys/block/sda/sda1/partition", "1\n");
    sysfs_.put("/sys/block/loop0/size", "1\n");
    link("../../block/loop0", "/sys/dev/block/7:0");
    sysfs_.put(kTarget + "/naa.1/tpgt_1/address", "1:0:1\n");
    sysfs_.put(kTarget + "/naa.2/tpgt_1/address", "2:0:1\n");
  }
  void link(const std::string& target, const std::string& name) const {
    const std::filesystem::path path = sysfs_.root().path(name);
    std::filesystem::create_directories(path.parent_path());
    std::filesystem::create_symlink(target, path);
  }
  void serve(const std::string& lun, const std::string& backstore) const {
    sysfs_.put(kTarget + lun + "/alua_tg_pt_gp", "default\n");
    link("../../../../../../target/core/" + backstore, kTarget + lun + "/port");
  }
  [[nodiscard]] bool told(unsigned major, unsigned minor) const {
    return lies_on_tcmu_loopback(major, minor, sysfs_.root());
  }

  const std::string kTarget = "/sys/kernel/config/target/loopback";
  const FakeSysfs sysfs_;
};

TEST_F(Loopback, DiskOfATcmuDeviceAndItsPartition) {
  serve("/naa.2/tpgt_1/lun/lun_3", "user_1/d0");
  EXPECT_TRUE(told(8, 0));
  EXPECT_TRUE(told(8, 1));
}

TEST_F(Loopback, WhatDeviceMapperMakesOfIt) {
  serve("/naa.2/tpgt_1/lun/lun_3", "user_1/d0");
  link("../../block/dm-0", "/sys/dev/block/253:0");
  link("../../block/dm-1", "/sys/dev/block/253:1");
  link("../../sda/sda1", "/sys/block/dm-0/slaves/sda1");
  link("../../dm-0", "/sys/block/dm-1/slaves/dm-0");
  EXPECT_TRUE(told(253, 0));
  EXPECT_TRUE(told(253, 1));
  // A partition of md: its folder has no slaves, that of the whole has.
  link("../../block/md0/md0p1", "/sys/dev/block/259:0");
  sysfs_.put("/sys/block/md0/md0p1/partition", "1\n");
  link("../../sda", "/sys/block/md0/slaves/sda");
  EXPECT_TRUE(told(259, 0));
}

TEST_F(Loopback, DevicesThatLieUponEachOtherAreFollowedSoFarOnly) {
  link("../../block/dm-0", "/sys/dev/block/253:0");
  link("../../dm-0", "/sys/block/dm-0/slaves/dm-0");
  EXPECT_FALSE(told(253, 0));
}

TEST_F(Loopback, DiskOfAnotherBackstoreIsNone) {
  serve("/naa.2/tpgt_1/lun/lun_3", "fileio_0/d0");
  EXPECT_FALSE(told(8, 0));
}

TEST_F(Loopback, OtherLunsAndOtherAddressesDoNotCount) {
  serve("/naa.2/tpgt_1/lun/lun_0", "user_1/d0");
  serve("/naa.1/tpgt_1/lun/lun_3", "user_1/d1");
  EXPECT_FALSE(told(8, 0));
}

TEST_F(Loopback, DeviceThatIsNoDiskOrNotThereIsNone) {
  serve("/naa.2/tpgt_1/lun/lun_3", "user_1/d0");
  EXPECT_FALSE(told(7, 0));
  EXPECT_FALSE(told(9, 9));
}

}  // namespace
}  // namespace bulkhead::supervisor
