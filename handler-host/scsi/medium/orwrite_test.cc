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

constexpr std::uint8_t kFua = 0x08;
constexpr std::uint8_t kDpo = 0x10;

Bytes orwrite16(Lba lba, BlockCount count, std::uint8_t flags = 0) {
  return extent_cdb(0x8b, lba, count, flags);
}

TEST(OrWrite16, SetsBitsAndClearsNone) {
  TestLun lun;
  lun.fill(Lba{3}, BlockCount{4}, 0x0f);
  EXPECT_THAT(lun.put(orwrite16(Lba{4}, BlockCount{2}), Bytes(1024, 0xa5)), IsGood());
  EXPECT_EQ(lun.medium(Lba{4}, BlockCount{2}), Bytes(1024, 0xaf));
  EXPECT_EQ(lun.medium(Lba{3}, BlockCount{1}), lun.block_of(0x0f));
  EXPECT_EQ(lun.medium(Lba{6}, BlockCount{1}), lun.block_of(0x0f));
  EXPECT_THAT(lun.put(orwrite16(Lba{4}, BlockCount{2}), Bytes(1024, 0)), IsGood());
  EXPECT_EQ(lun.medium(Lba{4}, BlockCount{2}), Bytes(1024, 0xaf));
}

TEST(OrWrite16, MoreThanOneBufferIsDoneInPieces) {
  TestLun lun({.blocks = BlockCount{1000}});
  Bytes data(600 * 512);
  for (std::size_t i = 0; i < data.size(); ++i) data[i] = static_cast<std::uint8_t>(i / 512 + i);
  lun.fill(Lba{0}, BlockCount{1000}, 0x80);
  EXPECT_THAT(lun.put(orwrite16(Lba{1}, BlockCount{600}), data), IsGood());
  EXPECT_EQ(lun.device.ops.size(), 6u);
  for (std::uint8_t& byte : data) byte |= 0x80;
  EXPECT_EQ(lun.medium(Lba{1}, BlockCount{600}), data);
  EXPECT_EQ(lun.medium(Lba{601}, BlockCount{1}), lun.block_of(0x80));
}

TEST(OrWrite16, FuaMakesItDurableAndDpoIsTaken) {
  TestLun lun;
  lun.put(orwrite16(Lba{0}, BlockCount{1}, kFua | kDpo), lun.block_of(1));
  lun.put(orwrite16(Lba{0}, BlockCount{1}), lun.block_of(1));
  EXPECT_THAT(lun.device.ops,
              ElementsAre(Op{OpKind::Read, 0, 512}, Op{OpKind::Write, 0, 512, Durability::Durable},
                          Op{OpKind::Read, 0, 512}, Op{OpKind::Write, 0, 512, Durability::Cached}));
}

TEST(OrWrite16, NoBlocksAreGoodUpToTheEnd) {
  TestLun lun({.blocks = BlockCount{64}});
  EXPECT_THAT(lun.run(orwrite16(Lba{64}, BlockCount{0})), IsGood());
  EXPECT_THAT(lun.run(orwrite16(Lba{65}, BlockCount{0})),
              HasSense(SenseKey::IllegalRequest, asc::kLbaOutOfRange));
}

TEST(OrWrite16, WhatCannotBeDoneAsAWholeIsRefusedBeforeAnythingIsWritten) {
  TestLun lun({.blocks = BlockCount{4096}, .largest_transfer_bytes = 1 << 20});
  EXPECT_THAT(lun.put(orwrite16(Lba{4095}, BlockCount{2}), Bytes(1024)),
              HasSense(SenseKey::IllegalRequest, asc::kLbaOutOfRange));
  EXPECT_THAT(lun.put(orwrite16(Lba{0}, BlockCount{2}), Bytes(1023)),
              HasSense(SenseKey::IllegalRequest, asc::kInvalidFieldInInformationUnit));
  const Reply reply = lun.put(orwrite16(Lba{0}, BlockCount{2049}), Bytes(2049 * 512));
  EXPECT_THAT(reply, HasSense(SenseKey::IllegalRequest, asc::kInvalidFieldInCdb));
  EXPECT_THAT(reply, PointsAtCdb(10));
  EXPECT_THAT(lun.device.ops, IsEmpty());
}

TEST(OrWrite16, AReadOnlyDeviceRefuses) {
  TestLun lun({.geometry = read_only()});
  EXPECT_THAT(lun.put(orwrite16(Lba{0}, BlockCount{1}), lun.block_of(1)),
              HasSense(SenseKey::DataProtect, asc::kWriteProtected));
}

TEST(OrWrite16, FailuresOfEitherHalfAreReported) {
  TestLun lun;
  lun.device.fail(OpKind::Read, IoStatus::ReadError);
  EXPECT_THAT(lun.put(orwrite16(Lba{0}, BlockCount{1}), lun.block_of(1)),
              HasSense(SenseKey::MediumError, asc::kUnrecoveredReadError));
  EXPECT_THAT(lun.device.ops, ElementsAre(Op{OpKind::Read, 0, 512}));
  lun.device.fail(OpKind::Read, IoStatus::Ok);
  lun.device.fail(OpKind::Write, IoStatus::WriteError);
  EXPECT_THAT(lun.put(orwrite16(Lba{0}, BlockCount{1}), lun.block_of(1)),
              HasSense(SenseKey::MediumError, asc::kWriteError));
}

// Two at once that both read before either writes would lose the bits of one.
TEST(OrWrite16, TwoAtOnceLoseNoBitsOfEitherNorOfAWrite) {
  TestLun lun;
  lun.device.hold(true);
  lun.start(write10(Lba{0}, BlockCount{2}), Bytes(1024, 0x01));
  lun.start(orwrite16(Lba{0}, BlockCount{2}), Bytes(1024, 0x10));
  lun.start(orwrite16(Lba{1}, BlockCount{2}), Bytes(1024, 0x20));
  EXPECT_EQ(lun.device.held(), 1u);
  lun.device.finish_all();
  EXPECT_EQ(lun.medium(Lba{0}, BlockCount{1}), lun.block_of(0x11));
  EXPECT_EQ(lun.medium(Lba{1}, BlockCount{1}), lun.block_of(0x31));
  EXPECT_EQ(lun.medium(Lba{2}, BlockCount{1}), lun.block_of(0x20));
}

}  // namespace
}  // namespace bulkhead::scsi
