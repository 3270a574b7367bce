#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>

#include "handler-host/scsi/testing/test_lun.h"

namespace bulkhead::scsi {
namespace {

using namespace testing;
using ::testing::ElementsAre;

Bytes functions_cdb(std::uint8_t byte2 = 0, std::uint8_t allocation = 32) {
  return {0xa3, 0x0d, byte2, 0, 0, 0, 0, 0, 0, allocation, 0, 0};
}
Bytes timestamp_cdb(std::uint8_t allocation = 32) {
  return {0xa3, 0x0f, 0, 0, 0, 0, 0, 0, 0, allocation, 0, 0};
}
std::uint64_t now_ms() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(now).count());
}

// sg_opcodes --tmf
TEST(ReportSupportedTaskManagementFunctions, AreThoseThatTheKernelsTargetCorePerforms) {
  TestLun lun;
  EXPECT_THAT(lun.get(functions_cdb()).data, ElementsAre(0x88 /* ATS, LURS */, 0, 0, 0));
  EXPECT_THAT(lun.get(functions_cdb(0x80)).data,
              ElementsAre(0x88, 0, 0, 0x0c, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0));
  EXPECT_EQ(lun.get(functions_cdb(0x80, 2)).data.size(), 2u);
}

TEST(ReportTimestamp, IsTheMachinesClock) {
  TestLun lun;
  const std::uint64_t before = now_ms();
  const Bytes data = lun.get(timestamp_cdb()).data;
  const std::uint64_t after = now_ms();
  ASSERT_EQ(data.size(), 12u);
  EXPECT_EQ(data[1], 10);
  EXPECT_EQ(data[2], 0x03);  // set by other methods
  std::uint64_t told = 0;
  for (std::size_t i = 4; i < 10; ++i) told = told << 8 | data[i];
  EXPECT_GE(told, before);
  EXPECT_LE(told, after);
  EXPECT_EQ(lun.get(timestamp_cdb(4)).data.size(), 4u);
}

}  // namespace
}  // namespace bulkhead::scsi
