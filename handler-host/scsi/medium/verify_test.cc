#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "handler-host/scsi/testing/test_lun.h"

namespace bulkhead::scsi {
namespace {

using namespace testing;
using handler::IoStatus;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Optional;

constexpr std::uint8_t kCompare = 0x02;  // BYTCHK 01b
constexpr std::uint8_t kReserved = 0x04;
constexpr std::uint8_t kOneBlock = 0x06;
constexpr std::uint8_t kDpo = 0x10;

struct Form {
  const char* name;
  std::uint8_t opcode;
  int count_byte;
};
class Verify : public ::testing::TestWithParam<Form> {
 protected:
  static Bytes cdb(Lba lba, BlockCount count, std::uint8_t flags) {
    return extent_cdb(GetParam().opcode, lba, count, flags);
  }
};
INSTANTIATE_TEST_SUITE_P(Forms, Verify,
                         ::testing::Values(Form{"Ten", 0x2f, 7}, Form{"Twelve", 0xaf, 6},
                                           Form{"Sixteen", 0x8f, 10}),
                         [](const auto& form) { return form.param.name; });

Bytes miscompare_free(std::size_t bytes) {
  Bytes data(bytes);
  for (std::size_t i = 0; i < bytes; ++i) data[i] = static_cast<std::uint8_t>(i * 7 + i / 512);
  return data;
}

TEST_P(Verify, WithoutBytchkTheMediumIsReadAndNothingCompared) {
  TestLun lun;
  lun.fill(Lba{0}, BlockCount{64}, 0x55);
  EXPECT_THAT(lun.run(cdb(Lba{4}, BlockCount{3}, 0)), IsGood());
  EXPECT_THAT(lun.device.ops, ElementsAre(Op{OpKind::Flush}, Op{OpKind::Read, 2048, 1536}));
  // As iscsi-test-cu does (Verify10.MismatchNoCompare): data that nobody asked for.
  EXPECT_THAT(lun.put(cdb(Lba{4}, BlockCount{3}, 0), Bytes(1536, 0xaa)), IsGood());
}

TEST_P(Verify, WhatWasWrittenCompares) {
  TestLun lun;
  const Bytes data = miscompare_free(3 * 512);
  lun.put(write16(Lba{4}, BlockCount{3}), data);
  EXPECT_THAT(lun.put(cdb(Lba{4}, BlockCount{3}, kCompare), data), IsGood());
  EXPECT_EQ(lun.medium(Lba{4}, BlockCount{3}), data);
}

TEST_P(Verify, EveryByteThatDiffersIsAMiscompareOfItsBlock) {
  TestLun lun;
  const Bytes data = miscompare_free(3 * 512);
  lun.put(write16(Lba{4}, BlockCount{3}), data);
  for (const std::size_t byte : {0, 511, 512, 1023, 1024, 1535}) {
    Bytes other = data;
    other[byte] ^= 0x01;
    const Reply reply = lun.put(cdb(Lba{4}, BlockCount{3}, kCompare), other);
    EXPECT_THAT(reply, HasSense(SenseKey::Miscompare, asc::kMiscompare)) << byte;
    EXPECT_THAT(sense_information(reply), Optional(4 + byte / 512)) << byte;
  }
}

TEST_P(Verify, OneBlockIsComparedWithEveryBlock) {
  TestLun lun;
  lun.fill(Lba{8}, BlockCount{6}, 0x55);
  EXPECT_THAT(lun.put(cdb(Lba{8}, BlockCount{6}, kOneBlock), lun.block_of(0x55)), IsGood());
  lun.device.bytes[12 * 512 + 500] = std::byte{0x54};
  const Reply reply = lun.put(cdb(Lba{8}, BlockCount{6}, kOneBlock), lun.block_of(0x55));
  EXPECT_THAT(reply, HasSense(SenseKey::Miscompare, asc::kMiscompare));
  EXPECT_THAT(sense_information(reply), Optional(12u));
}

TEST_P(Verify, MoreThanOneBufferIsReadInPiecesAndComparedToItsEnd) {
  TestLun lun({.blocks = BlockCount{1000}});
  Bytes data = miscompare_free(600 * 512);
  lun.put(write16(Lba{1}, BlockCount{600}), data);
  lun.device.ops.clear();
  EXPECT_THAT(lun.put(cdb(Lba{1}, BlockCount{600}, kCompare), data), IsGood());
  EXPECT_THAT(lun.device.ops, ElementsAre(Op{OpKind::Flush}, Op{OpKind::Read, 512, 131072},
                                          Op{OpKind::Read, 512 + 131072, 131072},
                                          Op{OpKind::Read, 512 + 262144, 600 * 512 - 262144}));
  data.back() ^= 0x80;
  const Reply reply = lun.put(cdb(Lba{1}, BlockCount{600}, kCompare), data);
  EXPECT_THAT(reply, HasSense(SenseKey::Miscompare, asc::kMiscompare));
  EXPECT_THAT(sense_information(reply), Optional(600u));
}

TEST_P(Verify, ADifferenceEndsTheReading) {
  TestLun lun({.blocks = BlockCount{1000}});
  lun.fill(Lba{3}, BlockCount{1}, 1);
  EXPECT_THAT(lun.put(cdb(Lba{0}, BlockCount{600}, kOneBlock), lun.block_of(0)),
              HasSense(SenseKey::Miscompare, asc::kMiscompare));
  EXPECT_THAT(lun.device.ops, ElementsAre(Op{OpKind::Flush}, Op{OpKind::Read, 0, 131072}));
}

TEST_P(Verify, TheReservedBytchkIsRefused) {
  TestLun lun;
  const Reply reply = lun.put(cdb(Lba{0}, BlockCount{1}, kReserved), lun.block_of(0));
  EXPECT_THAT(reply, HasSense(SenseKey::IllegalRequest, asc::kInvalidFieldInCdb));
  EXPECT_THAT(reply, PointsAtCdb(1, 2));
}

TEST_P(Verify, ProtectionInformationIsRefusedAndDpoTaken) {
  TestLun lun;
  for (std::uint8_t protect = 1; protect < 8; ++protect) {
    const auto flags = static_cast<std::uint8_t>(protect << 5 | kCompare);
    EXPECT_THAT(lun.put(cdb(Lba{0}, BlockCount{1}, flags), lun.block_of(0)),
                HasSense(SenseKey::IllegalRequest, asc::kInvalidFieldInCdb));
  }
  EXPECT_THAT(lun.put(cdb(Lba{0}, BlockCount{1}, kDpo | kCompare), lun.block_of(0)), IsGood());
}

TEST_P(Verify, NoBlocksAreGoodUpToTheEnd) {
  TestLun lun({.blocks = BlockCount{64}});
  for (const std::uint8_t bytchk : {std::uint8_t{0}, kCompare, kOneBlock}) {
    EXPECT_THAT(lun.run(cdb(Lba{64}, BlockCount{0}, bytchk)), IsGood());
    EXPECT_THAT(lun.run(cdb(Lba{65}, BlockCount{0}, bytchk)),
                HasSense(SenseKey::IllegalRequest, asc::kLbaOutOfRange));
  }
  EXPECT_THAT(lun.device.ops, IsEmpty());
}

TEST_P(Verify, PastTheLastBlockFails) {
  TestLun lun({.blocks = BlockCount{8}});
  const Reply reply = lun.put(cdb(Lba{7}, BlockCount{2}, kCompare), Bytes(1024));
  EXPECT_THAT(reply, HasSense(SenseKey::IllegalRequest, asc::kLbaOutOfRange));
  EXPECT_THAT(reply, PointsAtCdb(2));
  EXPECT_THAT(lun.device.ops, IsEmpty());
}

TEST_P(Verify, MoreThanOneCommandCanCarryIsRefusedWhateverIsSent) {
  TestLun lun({.blocks = BlockCount{4096}, .largest_transfer_bytes = 1 << 20});
  EXPECT_THAT(lun.run(cdb(Lba{0}, BlockCount{2048}, 0)), IsGood());
  const Reply reply = lun.run(cdb(Lba{0}, BlockCount{2049}, 0));
  EXPECT_THAT(reply, HasSense(SenseKey::IllegalRequest, asc::kInvalidFieldInCdb));
  EXPECT_THAT(reply, PointsAtCdb(GetParam().count_byte));
}

TEST_P(Verify, LessDataThanTheCdbSaysIsRefusedAndMoreIsNotLookedAt) {
  TestLun lun;
  EXPECT_THAT(lun.put(cdb(Lba{0}, BlockCount{2}, kCompare), Bytes(1023)),
              HasSense(SenseKey::IllegalRequest, asc::kInvalidFieldInInformationUnit));
  EXPECT_THAT(lun.put(cdb(Lba{0}, BlockCount{2}, kOneBlock), Bytes(511)),
              HasSense(SenseKey::IllegalRequest, asc::kInvalidFieldInInformationUnit));
  EXPECT_THAT(lun.device.ops, IsEmpty());
  Bytes more(1024);
  more.resize(2048, 0xff);
  EXPECT_THAT(lun.put(cdb(Lba{0}, BlockCount{2}, kCompare), more), IsGood());
  EXPECT_THAT(lun.put(cdb(Lba{0}, BlockCount{2}, kOneBlock), more), IsGood());
}

TEST_P(Verify, ReadsAReadOnlyDeviceToo) {
  TestLun lun({.geometry = read_only()});
  EXPECT_THAT(lun.put(cdb(Lba{0}, BlockCount{2}, kCompare), Bytes(1024)), IsGood());
}

TEST_P(Verify, AnUnreadableBlockIsAMediumError) {
  TestLun lun;
  lun.device.fail(OpKind::Read, IoStatus::ReadError);
  EXPECT_THAT(lun.run(cdb(Lba{0}, BlockCount{1}, 0)),
              HasSense(SenseKey::MediumError, asc::kUnrecoveredReadError));
  lun.device.fail(OpKind::Read, IoStatus::Busy);
  EXPECT_THAT(lun.put(cdb(Lba{0}, BlockCount{1}, kCompare), lun.block_of(0)), IsBusy());
}

TEST_P(Verify, WhatCannotBeFlushedCannotBeVerified) {
  TestLun lun;
  lun.device.fail(OpKind::Flush, IoStatus::WriteError);
  EXPECT_THAT(lun.run(cdb(Lba{0}, BlockCount{1}, 0)), HasSense(SenseKey::HardwareError, asc::kWriteError));
  EXPECT_THAT(lun.device.ops, ElementsAre(Op{OpKind::Flush}));
}

TEST_P(Verify, ThereIsNothingToFlushWhileTheCacheIsOff) {
  TestLun lun;
  lun.switch_cache_off();
  lun.run(cdb(Lba{0}, BlockCount{1}, 0));
  EXPECT_THAT(lun.device.ops, ElementsAre(Op{OpKind::Read, 0, 512}));
}

TEST_P(Verify, NeitherWaitsForWritesNorKeepsThemWaiting) {
  TestLun lun;
  lun.switch_cache_off();
  lun.device.hold(true);
  lun.start(write10(Lba{0}, BlockCount{1}), lun.block_of(1));
  lun.start(cdb(Lba{0}, BlockCount{2}, 0));
  lun.start(write10(Lba{1}, BlockCount{1}), lun.block_of(1));
  EXPECT_EQ(lun.device.held(), 3u);
  lun.device.finish_all();
}

TEST_P(Verify, TwoAtOnceDoNotMixTheirBuffers) {
  TestLun lun;
  lun.switch_cache_off();
  lun.fill(Lba{0}, BlockCount{4}, 1);
  lun.fill(Lba{8}, BlockCount{4}, 2);
  lun.device.hold(true);
  TestCommand& ones = lun.start(cdb(Lba{0}, BlockCount{4}, kOneBlock), lun.block_of(1));
  TestCommand& twos = lun.start(cdb(Lba{8}, BlockCount{4}, kOneBlock), lun.block_of(2));
  lun.device.finish_all();
  EXPECT_THAT(ones.reply(), IsGood());
  EXPECT_THAT(twos.reply(), IsGood());
}

}  // namespace
}  // namespace bulkhead::scsi
