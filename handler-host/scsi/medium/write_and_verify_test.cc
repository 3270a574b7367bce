#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "handler-host/scsi/testing/test_lun.h"

namespace bulkhead::scsi {
namespace {

using namespace testing;
using handler::Durability;
using handler::IoStatus;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Optional;

constexpr std::uint8_t kCompare = 0x02;  // BYTCHK 01b
constexpr std::uint8_t kDpo = 0x10;

struct Form {
  const char* name;
  std::uint8_t opcode;
  int count_byte;
};
class WriteAndVerify : public ::testing::TestWithParam<Form> {
 protected:
  static Bytes cdb(Lba lba, BlockCount count, std::uint8_t flags) {
    return extent_cdb(GetParam().opcode, lba, count, flags);
  }
};
INSTANTIATE_TEST_SUITE_P(Forms, WriteAndVerify,
                         ::testing::Values(Form{"Ten", 0x2e, 7}, Form{"Twelve", 0xae, 6},
                                           Form{"Sixteen", 0x8e, 10}),
                         [](const auto& form) { return form.param.name; });

TEST_P(WriteAndVerify, WritesDurablyAndReadsBack) {
  for (const std::uint8_t flags : {std::uint8_t{0}, kCompare, std::uint8_t{kCompare | kDpo}}) {
    TestLun lun;
    EXPECT_THAT(lun.put(cdb(Lba{4}, BlockCount{2}, flags), Bytes(1024, 0xa5)), IsGood());
    EXPECT_THAT(lun.device.ops, ElementsAre(Op{OpKind::Write, 2048, 1024, Durability::Durable},
                                            Op{OpKind::Read, 2048, 1024}));
    EXPECT_EQ(lun.medium(Lba{4}, BlockCount{2}), Bytes(1024, 0xa5));
    EXPECT_EQ(lun.medium(Lba{6}, BlockCount{1}), lun.block_of(0));
  }
}

// A disk that says it wrote and did not.
TEST_P(WriteAndVerify, WhatTheMediumDidNotTakeIsAMiscompareIfComparedAndUnnoticedIfNot) {
  TestLun lun;
  lun.device.hold(true);
  TestCommand& compared = lun.start(cdb(Lba{4}, BlockCount{2}, kCompare), Bytes(1024, 0xa5));
  lun.device.finish();
  lun.device.bytes[5 * 512 + 7] = std::byte{0};
  lun.device.finish();
  EXPECT_THAT(compared.reply(), HasSense(SenseKey::Miscompare, asc::kMiscompare));
  EXPECT_THAT(sense_information(compared.reply()), Optional(5u));

  TestCommand& read_only = lun.start(cdb(Lba{4}, BlockCount{2}, 0), Bytes(1024, 0xa5));
  lun.device.finish();
  lun.device.bytes[5 * 512 + 7] = std::byte{0};
  lun.device.finish();
  EXPECT_THAT(read_only.reply(), IsGood());
}

TEST_P(WriteAndVerify, MoreThanOneBufferIsReadBackInPieces) {
  TestLun lun({.blocks = BlockCount{1000}});
  Bytes data(600 * 512);
  for (std::size_t i = 0; i < data.size(); ++i) data[i] = static_cast<std::uint8_t>(i / 512 + i);
  EXPECT_THAT(lun.put(cdb(Lba{1}, BlockCount{600}, kCompare), data), IsGood());
  EXPECT_EQ(lun.device.ops.size(), 4u);  // one write, three reads
  EXPECT_EQ(lun.medium(Lba{1}, BlockCount{600}), data);
}

TEST_P(WriteAndVerify, OtherBytchksAreRefusedAndNothingIsWritten) {
  TestLun lun;
  for (const std::uint8_t bytchk : {std::uint8_t{0x04}, std::uint8_t{0x06}}) {
    const Reply reply = lun.put(cdb(Lba{0}, BlockCount{1}, bytchk), lun.block_of(1));
    EXPECT_THAT(reply, HasSense(SenseKey::IllegalRequest, asc::kInvalidFieldInCdb));
    EXPECT_THAT(reply, PointsAtCdb(1, 2));
  }
  EXPECT_THAT(lun.device.ops, IsEmpty());
}

TEST_P(WriteAndVerify, NoBlocksAreGoodUpToTheEnd) {
  TestLun lun({.blocks = BlockCount{64}});
  EXPECT_THAT(lun.run(cdb(Lba{64}, BlockCount{0}, kCompare)), IsGood());
  EXPECT_THAT(lun.run(cdb(Lba{65}, BlockCount{0}, kCompare)),
              HasSense(SenseKey::IllegalRequest, asc::kLbaOutOfRange));
}

TEST_P(WriteAndVerify, WhatCannotBeWrittenAsAWholeIsRefusedBeforeAnythingIsWritten) {
  TestLun lun({.blocks = BlockCount{4096}, .largest_transfer_bytes = 1 << 20});
  EXPECT_THAT(lun.put(cdb(Lba{4095}, BlockCount{2}, 0), Bytes(1024)),
              HasSense(SenseKey::IllegalRequest, asc::kLbaOutOfRange));
  EXPECT_THAT(lun.put(cdb(Lba{0}, BlockCount{2}, 0), Bytes(1023)),
              HasSense(SenseKey::IllegalRequest, asc::kInvalidFieldInInformationUnit));
  const Reply reply = lun.put(cdb(Lba{0}, BlockCount{2049}, 0), Bytes(2049 * 512));
  EXPECT_THAT(reply, HasSense(SenseKey::IllegalRequest, asc::kInvalidFieldInCdb));
  EXPECT_THAT(reply, PointsAtCdb(GetParam().count_byte));
  EXPECT_THAT(lun.device.ops, IsEmpty());
}

TEST_P(WriteAndVerify, AReadOnlyDeviceRefuses) {
  TestLun lun({.geometry = read_only()});
  EXPECT_THAT(lun.put(cdb(Lba{0}, BlockCount{1}, 0), lun.block_of(1)),
              HasSense(SenseKey::DataProtect, asc::kWriteProtected));
}

TEST_P(WriteAndVerify, FailuresOfEitherHalfAreReported) {
  TestLun lun;
  lun.device.fail(OpKind::Write, IoStatus::NoSpace);
  EXPECT_THAT(lun.put(cdb(Lba{0}, BlockCount{1}, kCompare), lun.block_of(1)),
              HasSense(SenseKey::DataProtect, asc::kSpaceAllocationFailed));
  EXPECT_EQ(lun.device.ops.size(), 1u);
  lun.device.fail(OpKind::Write, IoStatus::Ok);
  lun.device.fail(OpKind::Read, IoStatus::ReadError);
  EXPECT_THAT(lun.put(cdb(Lba{0}, BlockCount{1}, kCompare), lun.block_of(1)),
              HasSense(SenseKey::MediumError, asc::kUnrecoveredReadError));
}

TEST_P(WriteAndVerify, NoOtherWriteComesBetweenTheTwoHalves) {
  TestLun lun;
  lun.device.hold(true);
  TestCommand& first = lun.start(cdb(Lba{0}, BlockCount{2}, kCompare), Bytes(1024, 1));
  TestCommand& second = lun.start(write10(Lba{1}, BlockCount{1}), lun.block_of(2));
  lun.device.finish();
  ASSERT_EQ(lun.device.held(), 1u);
  EXPECT_EQ(lun.device.held_op(0).kind, OpKind::Read);
  lun.device.finish_all();
  EXPECT_THAT(lun.answered, ElementsAre(&first, &second));
  EXPECT_THAT(first.reply(), IsGood());
  EXPECT_EQ(lun.medium(Lba{1}, BlockCount{1}), lun.block_of(2));
}

}  // namespace
}  // namespace bulkhead::scsi
