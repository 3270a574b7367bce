#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "handler-host/scsi/testing/test_lun.h"

namespace bulkhead::scsi {
namespace {

using namespace testing;
using ::testing::ElementsAre;

Bytes defects10(std::uint8_t byte2, std::uint8_t allocation = 32) {
  return {0x37, 0, byte2, 0, 0, 0, 0, 0, allocation, 0};
}
Bytes defects12(std::uint8_t byte1, std::uint8_t index = 0, std::uint8_t allocation = 32) {
  return {0xb7, byte1, 0, 0, 0, index, 0, 0, 0, allocation, 0, 0};
}
Bytes media_serial(std::uint8_t allocation = 252) {
  return {0xab, 0x01, 0, 0, 0, 0, 0, 0, 0, allocation, 0, 0};
}

TEST(ReadDefectData10, GivesEmptyListsOfWhatWasAskedForInThatFormat) {
  TestLun lun;
  EXPECT_THAT(lun.get(defects10(0x00)).data, ElementsAre(0, 0x00, 0, 0));
  EXPECT_THAT(lun.get(defects10(0x18 | 0x03)).data, ElementsAre(0, 0x1b, 0, 0));
  EXPECT_THAT(lun.get(defects10(0x08 | 0x05)).data, ElementsAre(0, 0x0d, 0, 0));
  EXPECT_EQ(lun.get(defects10(0x18, 3)).data.size(), 3u);
}

TEST(ReadDefectData12, GivesEmptyListsOfWhatWasAskedForInThatFormat) {
  TestLun lun;
  EXPECT_THAT(lun.get(defects12(0x00)).data, ElementsAre(0, 0x00, 0, 0, 0, 0, 0, 0));
  EXPECT_THAT(lun.get(defects12(0x10 | 0x04)).data, ElementsAre(0, 0x14, 0, 0, 0, 0, 0, 0));
}

TEST(ReadDefectData, UnknownFormatsAndDefectsBeyondTheListAreRefused) {
  TestLun lun;
  for (const std::uint8_t format : {std::uint8_t{6}, std::uint8_t{7}}) {
    const Reply reply = lun.get(defects10(format)).reply;
    EXPECT_THAT(reply, HasSense(SenseKey::IllegalRequest, asc::kInvalidFieldInCdb));
    EXPECT_THAT(reply, PointsAtCdb(2, 2));
    EXPECT_THAT(lun.get(defects12(format)).reply, PointsAtCdb(1, 2));
  }
  EXPECT_THAT(lun.get(defects12(0x08, 1)).reply, PointsAtCdb(2));
}

TEST(ReadMediaSerialNumber, IsTheUnitsNullTerminatedAndPadded) {
  TestLun lun;
  lun.identity.identity = Identity{"abc", {}, {}, {}};
  EXPECT_THAT(lun.get(media_serial()).data, ElementsAre(0, 0, 0, 4, 'a', 'b', 'c', 0));
  lun.identity.identity = Identity{"abcd", {}, {}, {}};
  EXPECT_THAT(lun.get(media_serial()).data, ElementsAre(0, 0, 0, 8, 'a', 'b', 'c', 'd', 0, 0, 0, 0));
  EXPECT_EQ(lun.get(media_serial(4)).data.size(), 4u);
}

TEST(ReadMediaSerialNumber, IsNothingIfNoneIsSetAndBusyIfNobodyAnswers) {
  TestLun lun;
  lun.identity.identity = Identity{};
  EXPECT_THAT(lun.get(media_serial()).data, ElementsAre(0, 0, 0, 0));
  lun.identity.identity = Identity{std::string(1000, 'a'), {}, {}, {}};
  EXPECT_EQ(lun.get(media_serial()).data.size(), 252u);
  lun.identity.identity = fail(Cause::TimedOut, ETIMEDOUT, "no answer");
  EXPECT_THAT(lun.get(media_serial()).reply, IsBusy());
}

}  // namespace
}  // namespace bulkhead::scsi
