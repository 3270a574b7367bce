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

constexpr std::uint8_t kPf = 0x10;
constexpr std::uint8_t kSelfTest = 0x04;
constexpr std::uint8_t kOfflineAllowed = 0x03;  // DEVOFFL, UNITOFFL

Bytes send(std::uint8_t flags, std::uint8_t list_bytes = 0) {
  return {0x1d, flags, 0, 0, list_bytes, 0};
}
Bytes receive(std::uint8_t flags = 0x01, std::uint8_t page = 0, std::uint8_t allocation = 252) {
  return {0x1c, flags, page, 0, allocation, 0};
}

TEST(SelfTest, ReadsBothEndsOfTheMediumAndFlushes) {
  TestLun lun({.blocks = BlockCount{64}});
  EXPECT_THAT(lun.run(send(kPf | kSelfTest | kOfflineAllowed)), IsGood());
  EXPECT_THAT(lun.device.ops,
              ElementsAre(Op{OpKind::Read, 0, 512}, Op{OpKind::Read, 63 * 512, 512}, Op{OpKind::Flush}));
}

TEST(SelfTest, FailsIfABlockCannotBeRead) {
  TestLun lun;
  lun.device.hold(true);
  TestCommand& first = lun.start(send(kSelfTest));
  lun.device.finish(0, IoStatus::ReadError);
  EXPECT_THAT(first.reply(), HasSense(SenseKey::HardwareError, asc::kFailedSelfTest));
  TestCommand& second = lun.start(send(kSelfTest));
  lun.device.finish();
  lun.device.finish(0, IoStatus::ReadError);
  EXPECT_THAT(second.reply(), HasSense(SenseKey::HardwareError, asc::kFailedSelfTest));
  EXPECT_THAT(lun.services.lines, ElementsAre(HasSubstr("self-test failed"), HasSubstr("self-test failed")));
}

TEST(SelfTest, TellsOfLostWritesAsEveryFailedFlushDoes) {
  TestLun lun;
  lun.device.fail(OpKind::Flush, IoStatus::WriteError);
  EXPECT_THAT(lun.run(send(kSelfTest)), HasSense(SenseKey::HardwareError, asc::kWriteError));
}

TEST(SelfTest, ABackEndThatIsBusyOrHasNothingToFlushHasNotFailedIt) {
  TestLun lun;
  lun.device.fail(OpKind::Flush, IoStatus::NotSupported);
  EXPECT_THAT(lun.run(send(kSelfTest)), IsGood());
  lun.device.fail(OpKind::Read, IoStatus::Busy);
  EXPECT_THAT(lun.run(send(kSelfTest)), IsBusy());
}

TEST(SelfTest, TwoAtOnceShareTheOneBuffer) {
  TestLun lun;
  lun.device.hold(true);
  TestCommand& first = lun.start(send(kSelfTest));
  TestCommand& second = lun.start(send(kSelfTest));
  EXPECT_EQ(lun.device.held(), 1u);
  lun.device.finish_all();
  while (lun.device.held() > 0) lun.device.finish();
  EXPECT_THAT(first.reply(), IsGood());
  EXPECT_THAT(second.reply(), IsGood());
}

TEST(SelfTest, IsAllowedOnAReadOnlyDevice) {
  TestLun lun({.geometry = read_only()});
  EXPECT_THAT(lun.run(send(kSelfTest)), IsGood());
}

TEST(SelfTest, WithAListOrACodeIsRefused) {
  TestLun lun;
  EXPECT_THAT(lun.put(send(kSelfTest, 4), Bytes(4)), PointsAtCdb(3));
  const Reply reply = lun.run(send(0x20));  // background short self-test
  EXPECT_THAT(reply, HasSense(SenseKey::IllegalRequest, asc::kInvalidFieldInCdb));
  EXPECT_THAT(reply, PointsAtCdb(1, 5));
  EXPECT_THAT(lun.device.ops, IsEmpty());
}

TEST(SendDiagnostic, WithNothingToDoIsGood) {
  TestLun lun;
  EXPECT_THAT(lun.run(send(kPf)), IsGood());
  EXPECT_THAT(lun.put(send(kPf, 4), {0, 0, 0, 0}), IsGood());
  EXPECT_THAT(lun.device.ops, IsEmpty());
}

TEST(SendDiagnostic, ListsThatCannotBeHadAreRefused) {
  TestLun lun;
  EXPECT_THAT(lun.put(send(0, 4), {0, 0, 0, 0}), PointsAtCdb(1, 4));
  EXPECT_THAT(lun.put(send(kPf, 4), {0x40, 0, 0, 0}), PointsAtList(0));
  EXPECT_THAT(lun.put(send(kPf, 4), {0, 0, 0, 1}), PointsAtList(2));
  EXPECT_THAT(lun.put(send(kPf, 3), {0, 0, 0}),
              HasSense(SenseKey::IllegalRequest, asc::kParameterListLengthError));
  EXPECT_THAT(lun.put(send(kPf, 5), {0, 0, 0, 0, 0}),
              HasSense(SenseKey::IllegalRequest, asc::kParameterListLengthError));
  EXPECT_THAT(lun.put(send(kPf, 4), {0, 0, 0}),
              HasSense(SenseKey::IllegalRequest, asc::kInvalidFieldInInformationUnit));
}

// sg_senddiag --list
TEST(ReceiveDiagnosticResults, ListTheOnePageThatThereIs) {
  TestLun lun;
  EXPECT_THAT(lun.get(receive()).data, ElementsAre(0x00, 0, 0, 1, 0x00));
  EXPECT_THAT(lun.get(receive(0x00)).data, ElementsAre(0x00, 0, 0, 1, 0x00));
  EXPECT_EQ(lun.get(receive(0x01, 0, 2)).data.size(), 2u);
  const Reply reply = lun.get(receive(0x01, 0x40)).reply;
  EXPECT_THAT(reply, HasSense(SenseKey::IllegalRequest, asc::kInvalidFieldInCdb));
  EXPECT_THAT(reply, PointsAtCdb(2));
}

}  // namespace
}  // namespace bulkhead::scsi
