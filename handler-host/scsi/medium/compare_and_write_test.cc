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

constexpr std::uint8_t kFua = 0x08;
constexpr std::uint8_t kDpo = 0x10;

Bytes caw(Lba lba, BlockCount count, std::uint8_t flags = 0) {
  return extent_cdb(0x89, lba, count, flags);
}
// The data-out buffer of one block each.
Bytes from_to(std::uint8_t expected, std::uint8_t replacement, std::size_t bytes = 512) {
  Bytes data(bytes, expected);
  data.resize(2 * bytes, replacement);
  return data;
}

TEST(CompareAndWrite, ReplacesWhatIsEqual) {
  TestLun lun;
  lun.fill(Lba{3}, BlockCount{4}, 'A');
  EXPECT_THAT(lun.put(caw(Lba{4}, BlockCount{2}), from_to('A', 'B', 1024)), IsGood());
  EXPECT_EQ(lun.medium(Lba{4}, BlockCount{2}), Bytes(1024, 'B'));
  EXPECT_EQ(lun.medium(Lba{3}, BlockCount{1}), lun.block_of('A'));
  EXPECT_EQ(lun.medium(Lba{6}, BlockCount{1}), lun.block_of('A'));
}

// iscsi-test-cu, CompareAndWrite.MiscompareSense; SBC-4: "the offset from the start of the Data-Out Buffer".
TEST(CompareAndWrite, TellsTheFirstByteThatDiffersAndWritesNothing) {
  TestLun lun;
  lun.fill(Lba{4}, BlockCount{2}, 'A');
  for (std::uint32_t byte = 0; byte < 1024; ++byte) {
    Bytes data = from_to('A', 'B', 1024);
    data[byte] = 'Z';
    data[1023] = 'Z';
    const Reply reply = lun.put(caw(Lba{4}, BlockCount{2}), data);
    ASSERT_THAT(reply, HasSense(SenseKey::Miscompare, asc::kMiscompare));
    ASSERT_THAT(sense_information(reply), Optional(byte));
  }
  EXPECT_EQ(lun.medium(Lba{4}, BlockCount{2}), Bytes(1024, 'A'));
  for (const Op& op : lun.device.ops) EXPECT_EQ(op.kind, OpKind::Read);
}

TEST(CompareAndWrite, TakesAsMuchAsVpdB0SaysAndNoMore) {
  TestLun lun({.blocks = BlockCount{300}});
  ASSERT_EQ(lun.get(vpd(0xb0)).data[5], 255);
  EXPECT_THAT(lun.put(caw(Lba{0}, BlockCount{255}), from_to(0, 'B', 255 * 512)), IsGood());
  EXPECT_EQ(lun.medium(Lba{0}, BlockCount{255}), Bytes(255 * 512, 'B'));

  TestLun small({.blocks = BlockCount{300}, .max_sectors = 8});
  ASSERT_EQ(small.get(vpd(0xb0)).data[5], 8);
  EXPECT_THAT(small.put(caw(Lba{0}, BlockCount{8}), from_to(0, 'B', 8 * 512)), IsGood());
  const Reply reply = small.put(caw(Lba{0}, BlockCount{9}), from_to('B', 'C', 9 * 512));
  EXPECT_THAT(reply, HasSense(SenseKey::IllegalRequest, asc::kInvalidFieldInCdb));
  EXPECT_THAT(reply, PointsAtCdb(13));
  EXPECT_EQ(small.medium(Lba{0}, BlockCount{1}), small.block_of('B'));
}

TEST(CompareAndWrite, TheChannelMustCarryBothHalves) {
  TestLun lun({.block_bytes = 4096, .largest_transfer_bytes = 1 << 20});
  EXPECT_EQ(lun.get(vpd(0xb0)).data[5], 128);
}

TEST(CompareAndWrite, MoreThanOneBufferIsComparedBeforeAnythingIsWritten) {
  TestLun lun({.blocks = BlockCount{100}, .block_bytes = 4096});
  const std::size_t bytes = 100 * 4096;
  Bytes data = from_to(0, 'B', bytes);
  data[bytes - 27] = 1;
  const Reply reply = lun.put(caw(Lba{0}, BlockCount{100}), data);
  EXPECT_THAT(reply, HasSense(SenseKey::Miscompare, asc::kMiscompare));
  EXPECT_THAT(sense_information(reply), Optional(bytes - 27));
  EXPECT_EQ(lun.medium(Lba{0}, BlockCount{100}), Bytes(bytes, 0));
  data[bytes - 27] = 0;
  EXPECT_THAT(lun.put(caw(Lba{0}, BlockCount{100}), data), IsGood());
  EXPECT_EQ(lun.medium(Lba{0}, BlockCount{100}), Bytes(bytes, 'B'));
  EXPECT_EQ(lun.device.ops.back(), (Op{OpKind::Write, 0, bytes}));
}

TEST(CompareAndWrite, FuaMakesItDurableAndDpoIsTaken) {
  TestLun lun;
  EXPECT_THAT(lun.put(caw(Lba{0}, BlockCount{1}, kFua | kDpo), from_to(0, 1)), IsGood());
  EXPECT_THAT(lun.put(caw(Lba{0}, BlockCount{1}), from_to(1, 2)), IsGood());
  EXPECT_THAT(lun.device.ops,
              ElementsAre(Op{OpKind::Read, 0, 512}, Op{OpKind::Write, 0, 512, Durability::Durable},
                          Op{OpKind::Read, 0, 512}, Op{OpKind::Write, 0, 512, Durability::Cached}));
}

TEST(CompareAndWrite, ProtectionInformationIsRefused) {
  TestLun lun;
  const Reply reply = lun.put(caw(Lba{0}, BlockCount{1}, 0x20), from_to(0, 1));
  EXPECT_THAT(reply, HasSense(SenseKey::IllegalRequest, asc::kInvalidFieldInCdb));
  EXPECT_THAT(reply, PointsAtCdb(1, 5));
}

// 256 blocks, of which the one byte of the CDB shows nothing (iscsi-test-cu, CompareAndWrite.Simple).
TEST(CompareAndWrite, DataForNoBlocksIsRefused) {
  TestLun lun;
  const Reply reply = lun.put(caw(Lba{0}, BlockCount{0}), Bytes(512, 0));
  EXPECT_THAT(reply, HasSense(SenseKey::IllegalRequest, asc::kInvalidFieldInCdb));
  EXPECT_THAT(reply, PointsAtCdb(13));
}

TEST(CompareAndWrite, NoBlocksAreGoodUpToTheEnd) {
  TestLun lun({.blocks = BlockCount{64}});
  EXPECT_THAT(lun.run(caw(Lba{64}, BlockCount{0})), IsGood());
  EXPECT_THAT(lun.run(caw(Lba{65}, BlockCount{0})), HasSense(SenseKey::IllegalRequest, asc::kLbaOutOfRange));
}

TEST(CompareAndWrite, PastTheLastBlockFails) {
  TestLun lun({.blocks = BlockCount{8}});
  const Reply reply = lun.put(caw(Lba{7}, BlockCount{2}), from_to(0, 1, 1024));
  EXPECT_THAT(reply, HasSense(SenseKey::IllegalRequest, asc::kLbaOutOfRange));
  EXPECT_THAT(lun.device.ops, IsEmpty());
}

// iscsi-test-cu, CompareAndWrite.InvalidDataOutSize
TEST(CompareAndWrite, AnythingButTwiceTheBlocksIsRefused) {
  TestLun lun;
  for (const std::size_t bytes : {0, 512, 1023, 1025, 2048}) {
    EXPECT_THAT(lun.put(caw(Lba{0}, BlockCount{1}), Bytes(bytes)),
                HasSense(SenseKey::IllegalRequest, asc::kInvalidFieldInInformationUnit))
        << bytes;
  }
  EXPECT_THAT(lun.device.ops, IsEmpty());
}

TEST(CompareAndWrite, AReadOnlyDeviceRefuses) {
  TestLun lun({.geometry = read_only()});
  EXPECT_THAT(lun.put(caw(Lba{0}, BlockCount{1}), from_to(0, 1)),
              HasSense(SenseKey::DataProtect, asc::kWriteProtected));
}

TEST(CompareAndWrite, FailuresOfEitherHalfAreReported) {
  TestLun lun;
  lun.device.fail(OpKind::Read, IoStatus::ReadError);
  EXPECT_THAT(lun.put(caw(Lba{0}, BlockCount{1}), from_to(0, 1)),
              HasSense(SenseKey::MediumError, asc::kUnrecoveredReadError));
  EXPECT_THAT(lun.device.ops, ElementsAre(Op{OpKind::Read, 0, 512}));
  lun.device.fail(OpKind::Read, IoStatus::Ok);
  lun.device.fail(OpKind::Write, IoStatus::NoSpace);
  EXPECT_THAT(lun.put(caw(Lba{0}, BlockCount{1}), from_to(0, 1)),
              HasSense(SenseKey::DataProtect, asc::kSpaceAllocationFailed));
}

TEST(CompareAndWrite, OfTwoThatWantTheSameOneWinsAndTheOtherSeesWhatItWrote) {
  TestLun lun;
  lun.device.hold(true);
  TestCommand& first = lun.start(caw(Lba{0}, BlockCount{2}), from_to(0, 1, 1024));
  TestCommand& second = lun.start(caw(Lba{1}, BlockCount{2}), from_to(0, 2, 1024));
  EXPECT_EQ(lun.device.held(), 1u);  // the second has not read yet
  lun.device.finish();
  EXPECT_EQ(lun.device.held(), 1u);  // nor between the first one's halves
  lun.device.finish_all();
  EXPECT_THAT(first.reply(), IsGood());
  EXPECT_THAT(second.reply(), HasSense(SenseKey::Miscompare, asc::kMiscompare));  // not BUSY: it waited
  EXPECT_THAT(sense_information(second.reply()), Optional(0u));
  EXPECT_EQ(lun.medium(Lba{0}, BlockCount{2}), Bytes(1024, 1));
  EXPECT_EQ(lun.medium(Lba{2}, BlockCount{1}), lun.block_of(0));
}

TEST(CompareAndWrite, PlainWritesComeBeforeOrAfterButNotBetween) {
  TestLun lun({.geometry = thin()});
  lun.device.hold(true);
  TestCommand& before = lun.start(write10(Lba{0}, BlockCount{1}), lun.block_of(1));
  TestCommand& swap = lun.start(caw(Lba{0}, BlockCount{1}), from_to(1, 2));
  const Bytes list = unmap_list({{0, 1}});
  TestCommand& unmap = lun.start(unmap_cdb(list.size()), list);
  TestCommand& again = lun.start(caw(Lba{0}, BlockCount{1}), from_to(0, 3));
  TestCommand& after = lun.start(write_same10(Lba{0}, BlockCount{1}), lun.block_of(4));
  while (lun.device.held() > 0) {
    EXPECT_EQ(lun.device.held(), 1u);
    lun.device.finish();
  }
  EXPECT_THAT(lun.answered, ElementsAre(&before, &swap, &unmap, &again, &after));
  for (const TestCommand* command : lun.answered) EXPECT_THAT(command->reply(), IsGood());
  EXPECT_EQ(lun.medium(Lba{0}, BlockCount{1}), lun.block_of(4));
}

TEST(CompareAndWrite, WhatDoesNotOverlapWaitsOnlyForTheBuffer) {
  TestLun lun;
  lun.device.hold(true);
  TestCommand& first = lun.start(caw(Lba{0}, BlockCount{1}), from_to(0, 1));
  TestCommand& second = lun.start(caw(Lba{9}, BlockCount{1}), from_to(0, 2));
  TestCommand& third = lun.start(write10(Lba{20}, BlockCount{1}), lun.block_of(3));
  EXPECT_EQ(lun.device.held(), 2u);
  lun.device.finish_all();
  EXPECT_THAT(first.reply(), IsGood());
  EXPECT_THAT(second.reply(), IsGood());
  EXPECT_THAT(third.reply(), IsGood());
  EXPECT_EQ(lun.medium(Lba{9}, BlockCount{1}), lun.block_of(2));
}

// What ESXi asks before it trusts a disk with ATS and then does for each lock of VMFS: the limit in VPD B0h
// must not be 0; hosts take a lock by exchanging its one block, and know a lost race by MISCOMPARE.
TEST(CompareAndWrite, VmwareAtsOneHostGetsTheVmfsLockAndTheOtherAMiscompare) {
  TestLun lun;
  constexpr std::uint8_t kFree = 0, kHostA = 0xa, kHostB = 0xb;
  EXPECT_GE(lun.get(vpd(0xb0)).data[5], 1);
  lun.device.hold(true);
  TestCommand& host_a = lun.start(caw(Lba{16}, BlockCount{1}), from_to(kFree, kHostA));
  TestCommand& host_b = lun.start(caw(Lba{16}, BlockCount{1}), from_to(kFree, kHostB));
  lun.device.finish_all();
  lun.device.hold(false);
  EXPECT_THAT(host_a.reply(), IsGood());
  EXPECT_THAT(host_b.reply(), HasSense(SenseKey::Miscompare, asc::kMiscompare));
  EXPECT_THAT(lun.put(caw(Lba{16}, BlockCount{1}), from_to(kHostA, kFree)), IsGood());
  EXPECT_THAT(lun.put(caw(Lba{16}, BlockCount{1}), from_to(kFree, kHostB)), IsGood());
  EXPECT_EQ(lun.medium(Lba{16}, BlockCount{1}), lun.block_of(kHostB));
}

}  // namespace
}  // namespace bulkhead::scsi
