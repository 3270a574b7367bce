#include "supervisor/configfs/uio_scan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "supervisor/configfs/fake_sysfs.h"

namespace bulkhead::supervisor {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::vector<std::uint32_t> minors(const UioScan& scan) {
  std::vector<std::uint32_t> numbers;
  for (const UioDevice& device : scan.devices) numbers.push_back(device.minor.value);
  return numbers;
}

TEST(UioScan, DevicesComeInNumericOrderWithNameAndMapSize) {
  const FakeSysfs sysfs;
  for (unsigned minor : {10u, 9u, 2u})
    sysfs.put_uio(minor, "tcm-user/1/d" + std::to_string(minor) + "/file//a");
  const Result<UioScan> scan = scan_uio(sysfs.root());
  ASSERT_TRUE(scan.has_value());
  EXPECT_THAT(minors(*scan), ElementsAre(2, 9, 10));
  EXPECT_EQ(scan->devices[0].name, (UioName{"user_1", "d2", "file//a"}));
  EXPECT_EQ(scan->devices[0].map_bytes.value, 0x40800000u);
}

TEST(UioScan, OtherDriversDevicesAreNoneOfOurs) {
  const FakeSysfs sysfs;
  sysfs.put_uio(0, "uio_pci_generic");
  sysfs.put("/sys/class/uio/uioX/name", "tcm-user/1/d0/file/a\n");
  sysfs.put_uio(1, "tcm-user/1/d1/file/a");
  const Result<UioScan> scan = scan_uio(sysfs.root());
  ASSERT_TRUE(scan.has_value());
  EXPECT_THAT(minors(*scan), ElementsAre(1));
  EXPECT_THAT(scan->problems, IsEmpty());
}

TEST(UioScan, DeviceThatVanishesMeanwhileIsLeftOut) {
  const FakeSysfs sysfs;
  sysfs.put_uio(3, "tcm-user/1/d3/file/a");
  sysfs.remove("/sys/class/uio/uio3/maps");
  const Result<UioScan> scan = scan_uio(sysfs.root());
  ASSERT_TRUE(scan.has_value());
  EXPECT_THAT(scan->devices, IsEmpty());
  EXPECT_THAT(scan->problems, IsEmpty());
}

TEST(UioScan, OneBadDeviceIsReportedAndCostsNoOther) {
  const FakeSysfs sysfs;
  sysfs.put_uio(0, "tcm-user/1/ok/file/a");
  sysfs.put_uio(1, "tcm-user/oops");
  sysfs.put_uio(2, "tcm-user/1/new/file/a");
  sysfs.put("/sys/class/uio/uio2/version", "3\n");
  sysfs.put_uio(4, "tcm-user/1/big/file/a");
  sysfs.put("/sys/class/uio/uio4/maps/map0/size", "0xfffffffffffffffff\n");
  const Result<UioScan> scan = scan_uio(sysfs.root());
  ASSERT_TRUE(scan.has_value());
  EXPECT_THAT(minors(*scan), ElementsAre(0));
  EXPECT_THAT(scan->problems,
              ElementsAre(HasSubstr("uio1: "), HasSubstr("mailbox version \"3\""), HasSubstr("uio4: ")));
}

TEST(UioScan, WithoutTheUioClassThereAreNoDevices) {
  const FakeSysfs sysfs;
  const Result<UioScan> scan = scan_uio(sysfs.root());
  ASSERT_TRUE(scan.has_value());
  EXPECT_THAT(scan->devices, IsEmpty());
}

}  // namespace
}  // namespace bulkhead::supervisor
