#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/endian.h"
#include "handler-host/scsi/testing/copy_lists.h"
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

// A disk of 512-byte blocks that writes 8 of them in one piece.
LunShape eight_at_once() {
  LunShape shape;
  shape.geometry = able();
  return shape;
}
LunShape with(std::uint32_t atomic_bytes, std::uint32_t block_bytes, std::uint32_t max_sectors = 0) {
  LunShape shape;
  shape.geometry.atomic_write_bytes = atomic_bytes;
  shape.block_bytes = block_bytes;
  shape.max_sectors = max_sectors;
  return shape;
}

Bytes write_atomic16(Lba lba, std::uint32_t count, std::uint8_t flags = 0, std::uint16_t boundary = 0) {
  return extent_cdb(0x9c, lba, BlockCount{std::uint32_t{boundary} << 16 | count}, flags);
}

std::uint32_t u32(const Bytes& page, std::size_t at) {
  return be32(std::span<const std::uint8_t, 4>(&page[at], 4));
}

TEST(WriteAtomic16, WritesInOneGo) {
  TestLun lun(eight_at_once());
  EXPECT_THAT(lun.put(write_atomic16(Lba{8}, 8), Bytes(4096, 0xa5)), IsGood());
  EXPECT_THAT(lun.device.ops, ElementsAre(Op{OpKind::Write, 4096, 4096}));
  EXPECT_EQ(lun.medium(Lba{8}, BlockCount{8}), Bytes(4096, 0xa5));
  EXPECT_EQ(lun.medium(Lba{16}, BlockCount{1}), lun.block_of(0));
}

TEST(WriteAtomic16, VpdB0TellsWhatTheBackEndPromisesOrNothing) {
  for (const auto& [shape, blocks] : std::initializer_list<std::pair<LunShape, std::uint32_t>>{
           {eight_at_once(), 8},
           {with(16384, 4096), 4},
           {with(16384, 512, 20), 16},  // MAXIMUM TRANSFER LENGTH is the limit of all limits
           {with(4096, 4096), 1},
           {with(4096, 512, 1), 1},
           {with(0, 512), 1},  // a sector
           {with(0, 4096), 0}}) {
    TestLun lun(shape);
    const Bytes page = lun.get(vpd(0xb0)).data;
    EXPECT_EQ(u32(page, 44), blocks);  // MAXIMUM ATOMIC TRANSFER LENGTH
    EXPECT_EQ(u32(page, 48), blocks);  // ATOMIC ALIGNMENT
    EXPECT_EQ(u32(page, 52), blocks);  // ATOMIC TRANSFER LENGTH GRANULARITY
    EXPECT_EQ(u32(page, 56), 0u);      // MAXIMUM ATOMIC TRANSFER LENGTH WITH ATOMIC BOUNDARY
    EXPECT_EQ(u32(page, 60), 0u);      // MAXIMUM ATOMIC BOUNDARY SIZE
  }
}

// A block is eight sectors, which a disk may write one by one.
TEST(WriteAtomic16, IsUnknownWhereNotEvenABlockIsPromised) {
  TestLun lun({.block_bytes = 4096});
  EXPECT_THAT(lun.put(write_atomic16(Lba{0}, 1), lun.block_of(1)),
              HasSense(SenseKey::IllegalRequest, asc::kInvalidOpcode));
}

TEST(WriteAtomic16, OtherLengthsAndPlacesAreRefused) {
  TestLun lun(eight_at_once());
  for (const std::uint32_t count : {1, 7, 9, 16}) {
    const Reply reply = lun.put(write_atomic16(Lba{0}, count), Bytes(std::size_t{count} * 512));
    EXPECT_THAT(reply, HasSense(SenseKey::IllegalRequest, asc::kInvalidFieldInCdb)) << count;
    EXPECT_THAT(reply, PointsAtCdb(12)) << count;
  }
  for (const std::uint64_t lba : {1, 4, 7, 9}) {
    const Reply reply = lun.put(write_atomic16(Lba{lba}, 8), Bytes(4096));
    EXPECT_THAT(reply, HasSense(SenseKey::IllegalRequest, asc::kInvalidFieldInCdb)) << lba;
    EXPECT_THAT(reply, PointsAtCdb(2)) << lba;
  }
  EXPECT_THAT(lun.device.ops, IsEmpty());
}

TEST(WriteAtomic16, ABoundaryIsRefused) {
  TestLun lun(eight_at_once());
  const Reply reply = lun.put(write_atomic16(Lba{0}, 8, 0, 8), Bytes(4096));
  EXPECT_THAT(reply, HasSense(SenseKey::IllegalRequest, asc::kInvalidFieldInCdb));
  EXPECT_THAT(reply, PointsAtCdb(11, 3));
}

TEST(WriteAtomic16, NoBlocksAreGoodUpToTheEnd) {
  TestLun lun(eight_at_once());
  EXPECT_THAT(lun.run(write_atomic16(Lba{64}, 0)), IsGood());
  EXPECT_THAT(lun.run(write_atomic16(Lba{72}, 0)), HasSense(SenseKey::IllegalRequest, asc::kLbaOutOfRange));
  EXPECT_THAT(lun.device.ops, IsEmpty());
}

// iscsi-test-cu, WriteAtomic16.BeyondEol, wants this before what is wrong with the length.
TEST(WriteAtomic16, PastTheLastBlockFails) {
  TestLun lun(eight_at_once());
  for (const std::uint32_t count : {8, 16, 256}) {
    const Reply reply = lun.put(write_atomic16(Lba{64}, count), Bytes(std::size_t{count} * 512));
    EXPECT_THAT(reply, HasSense(SenseKey::IllegalRequest, asc::kLbaOutOfRange));
    EXPECT_THAT(reply, PointsAtCdb(2));
  }
}

TEST(WriteAtomic16, LessDataThanTheCdbSaysIsRefused) {
  TestLun lun(eight_at_once());
  EXPECT_THAT(lun.put(write_atomic16(Lba{0}, 8), Bytes(4095)),
              HasSense(SenseKey::IllegalRequest, asc::kInvalidFieldInInformationUnit));
  EXPECT_THAT(lun.device.ops, IsEmpty());
}

TEST(WriteAtomic16, FuaMakesItDurableAndDpoIsTaken) {
  TestLun lun(eight_at_once());
  EXPECT_THAT(lun.put(write_atomic16(Lba{0}, 8, kFua | kDpo), Bytes(4096)), IsGood());
  EXPECT_THAT(lun.device.ops, ElementsAre(Op{OpKind::Write, 0, 4096, Durability::Durable}));
}

TEST(WriteAtomic16, AReadOnlyDeviceRefuses) {
  LunShape shape = eight_at_once();
  shape.geometry.read_only = true;
  TestLun lun(shape);
  EXPECT_THAT(lun.put(write_atomic16(Lba{0}, 8), Bytes(4096)),
              HasSense(SenseKey::DataProtect, asc::kWriteProtected));
}

TEST(WriteAtomic16, AFailureIsReportedAndLetsReadersThrough) {
  TestLun lun(eight_at_once());
  lun.device.fail(OpKind::Write, IoStatus::NoSpace);
  EXPECT_THAT(lun.put(write_atomic16(Lba{0}, 8), Bytes(4096, 1)),
              HasSense(SenseKey::DataProtect, asc::kSpaceAllocationFailed));
  EXPECT_EQ(lun.get(read10(Lba{0}, BlockCount{8})).data, Bytes(4096, 0));
}

TEST(WriteAtomic16, WaitsForReadsOfItsBlocksAndKeepsLaterOnesWaiting) {
  TestLun lun(eight_at_once());
  lun.device.hold(true);
  TestCommand& early = lun.start(read10(Lba{7}, BlockCount{2}), Bytes(1024));
  TestCommand& beside = lun.start(read10(Lba{20}, BlockCount{2}), Bytes(1024));
  TestCommand& atomic = lun.start(write_atomic16(Lba{8}, 8), Bytes(4096, 1));
  TestCommand& late = lun.start(read16(Lba{15}, BlockCount{1}), lun.block_of(0));
  TestCommand& elsewhere = lun.start(read10(Lba{16}, BlockCount{1}), lun.block_of(0));
  EXPECT_EQ(lun.device.held(), 3u);  // the reads that do not wait

  lun.device.finish();
  EXPECT_TRUE(early.answered());
  ASSERT_EQ(lun.device.held(), 3u);
  EXPECT_EQ(lun.device.held_op(2).kind, OpKind::Write);
  EXPECT_FALSE(late.answered());
  lun.device.finish(2);
  EXPECT_TRUE(atomic.answered());
  EXPECT_EQ(lun.device.held_op(2), (Op{OpKind::Read, 15 * 512, 512}));
  lun.device.finish_all();
  EXPECT_THAT(lun.answered, ElementsAre(&early, &atomic, &beside, &elsewhere, &late));
}

TEST(WriteAtomic16, VerifyIsAReaderToo) {
  TestLun lun(eight_at_once());
  lun.switch_cache_off();
  lun.device.hold(true);
  lun.start(write_atomic16(Lba{8}, 8), Bytes(4096, 1));
  TestCommand& verify = lun.start(extent_cdb(0x8f, Lba{8}, BlockCount{8}, 0x02), Bytes(4096, 1));
  EXPECT_EQ(lun.device.held(), 1u);
  lun.device.finish_all();
  EXPECT_THAT(verify.reply(), IsGood());
}

TEST(WriteAtomic16, ACopyIsAReaderToo) {
  TestLun lun(eight_at_once());
  lun.device.hold(true);
  const Bytes list = lid1_list({.segments = {segment(Lba{8}, Lba{32}, 8)}});
  TestCommand& copy = lun.start(extended_copy_cdb(static_cast<std::uint32_t>(list.size())), list);
  ASSERT_EQ(lun.device.held(), 1u);
  TestCommand& atomic = lun.start(write_atomic16(Lba{8}, 8), Bytes(4096, 0xa5));
  EXPECT_EQ(lun.device.held(), 1u);
  lun.device.finish_all();
  EXPECT_THAT(lun.answered, ElementsAre(&copy, &atomic));
  EXPECT_EQ(lun.medium(Lba{32}, BlockCount{8}), Bytes(4096, 0));
}

TEST(WriteAtomic16, ReadsDoNotWaitForEachOtherNorForOrdinaryWrites) {
  TestLun lun(eight_at_once());
  lun.device.hold(true);
  lun.start(read10(Lba{0}, BlockCount{8}), Bytes(4096));
  lun.start(write10(Lba{0}, BlockCount{8}), Bytes(4096));
  lun.start(read10(Lba{0}, BlockCount{8}), Bytes(4096));
  EXPECT_EQ(lun.device.held(), 3u);
  lun.device.finish_all();
}

TEST(WriteAtomic16, OrdinaryWritesComeBeforeOrAfter) {
  TestLun lun(eight_at_once());
  lun.device.hold(true);
  TestCommand& before = lun.start(write10(Lba{9}, BlockCount{1}), lun.block_of(1));
  TestCommand& atomic = lun.start(write_atomic16(Lba{8}, 8), Bytes(4096, 2));
  TestCommand& after = lun.start(write10(Lba{15}, BlockCount{1}), lun.block_of(3));
  EXPECT_EQ(lun.device.held(), 1u);
  lun.device.finish_all();
  EXPECT_THAT(lun.answered, ElementsAre(&before, &atomic, &after));
  EXPECT_EQ(lun.medium(Lba{8}, BlockCount{7}), Bytes(7 * 512, 2));
  EXPECT_EQ(lun.medium(Lba{15}, BlockCount{1}), lun.block_of(3));
}

// The buffer that the read's last bytes go through is what the comparison holds meanwhile: nobody waits in a
// ring.
TEST(WriteAtomic16, BesideATailReadAndACompareAndWriteNobodyIsStuck) {
  TestLun lun(eight_at_once());
  lun.device.hold(true);
  lun.start(extent_cdb(0x89, Lba{32}, BlockCount{1}), Bytes(1024));
  lun.start(read10(Lba{8}, BlockCount{1}), Bytes(100));
  lun.start(write_atomic16(Lba{8}, 8), Bytes(4096, 1));
  lun.start(extent_cdb(0x89, Lba{8}, BlockCount{1}), Bytes(1024, 1));
  lun.device.finish_all();
  EXPECT_EQ(lun.answered.size(), 4u);
}

}  // namespace
}  // namespace bulkhead::scsi
