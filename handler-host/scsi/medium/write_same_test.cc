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

constexpr std::uint8_t kAnchor = 0x10;
constexpr std::uint8_t kUnmap = 0x08;
constexpr std::uint8_t kNdob = 0x01;

struct Form {
  const char* name;
  Bytes (*cdb)(Lba, BlockCount, std::uint8_t flags);
  int count_byte;
};
class WriteSame : public ::testing::TestWithParam<Form> {};
INSTANTIATE_TEST_SUITE_P(Forms, WriteSame,
                         ::testing::Values(Form{"Ten", write_same10, 7}, Form{"Sixteen", write_same16, 10}),
                         [](const auto& form) { return form.param.name; });

TEST_P(WriteSame, PutsTheBlockIntoEveryBlockAndNoOther) {
  TestLun lun;
  EXPECT_THAT(lun.put(GetParam().cdb(Lba{4}, BlockCount{3}, 0), lun.block_of(0xa5)), IsGood());
  EXPECT_EQ(lun.medium(Lba{4}, BlockCount{3}), Bytes(3 * 512, 0xa5));
  EXPECT_EQ(lun.medium(Lba{3}, BlockCount{1}), lun.block_of(0));
  EXPECT_EQ(lun.medium(Lba{7}, BlockCount{1}), lun.block_of(0));
}

TEST_P(WriteSame, MoreThanOneBufferIsWrittenInChunks) {
  TestLun lun({.blocks = BlockCount{1000}});
  Bytes block(512);
  for (std::size_t i = 0; i < block.size(); ++i) block[i] = static_cast<std::uint8_t>(i);
  EXPECT_THAT(lun.put(GetParam().cdb(Lba{1}, BlockCount{600}, 0), block), IsGood());
  EXPECT_THAT(lun.device.ops,
              ElementsAre(Op{OpKind::Write, 512, 131072}, Op{OpKind::Write, 512 + 131072, 131072},
                          Op{OpKind::Write, 512 + 262144, 600 * 512 - 262144}));
  for (std::uint64_t lba = 1; lba <= 600; ++lba) ASSERT_EQ(lun.medium(Lba{lba}, BlockCount{1}), block) << lba;
  EXPECT_EQ(lun.medium(Lba{601}, BlockCount{1}), lun.block_of(0));
}

TEST_P(WriteSame, ZeroesAreLeftToTheHandler) {
  TestLun lun;
  lun.fill(Lba{0}, BlockCount{8}, 0xff);
  EXPECT_THAT(lun.put(GetParam().cdb(Lba{2}, BlockCount{4}, 0), lun.block_of(0)), IsGood());
  EXPECT_THAT(lun.device.ops, ElementsAre(Op{OpKind::WriteZeroes, 1024, 2048}));
  EXPECT_EQ(lun.medium(Lba{2}, BlockCount{4}), Bytes(2048, 0));
}

TEST_P(WriteSame, ZeroesAreWrittenIfTheHandlerCannot) {
  TestLun lun;
  lun.fill(Lba{0}, BlockCount{8}, 0xff);
  lun.device.fail(OpKind::WriteZeroes, IoStatus::NotSupported);
  EXPECT_THAT(lun.put(GetParam().cdb(Lba{2}, BlockCount{4}, 0), lun.block_of(0)), IsGood());
  EXPECT_EQ(lun.medium(Lba{2}, BlockCount{4}), Bytes(2048, 0));
  EXPECT_EQ(lun.medium(Lba{6}, BlockCount{1}), lun.block_of(0xff));
}

TEST_P(WriteSame, UnmapOfAZeroBlockDiscards) {
  TestLun lun({.geometry = thin()});
  lun.fill(Lba{0}, BlockCount{8}, 0xff);
  EXPECT_THAT(lun.put(GetParam().cdb(Lba{0}, BlockCount{8}, kUnmap), lun.block_of(0)), IsGood());
  EXPECT_THAT(lun.device.ops, ElementsAre(Op{OpKind::Discard, 0, 4096}));
}

// tcmu-runner discards here and loses the data.
TEST_P(WriteSame, UnmapOfAnyOtherBlockWritesIt) {
  TestLun lun({.geometry = thin()});
  Bytes block = lun.block_of(0);
  block.back() = 1;
  EXPECT_THAT(lun.put(GetParam().cdb(Lba{0}, BlockCount{2}, kUnmap), block), IsGood());
  EXPECT_THAT(lun.device.ops, ElementsAre(Op{OpKind::Write, 0, 1024}));
  EXPECT_EQ(lun.medium(Lba{1}, BlockCount{1}), block);
}

TEST_P(WriteSame, UnmapWritesZeroesWhereDiscardedBlocksReadAsAnything) {
  handler::Geometry geometry = thin();
  geometry.discard_zeroes = false;
  TestLun lun({.geometry = geometry});
  lun.put(GetParam().cdb(Lba{0}, BlockCount{2}, kUnmap), lun.block_of(0));
  EXPECT_THAT(lun.device.ops, ElementsAre(Op{OpKind::WriteZeroes, 0, 1024}));
}

TEST_P(WriteSame, ADiscardThatCannotBeDoneBecomesZeroesOfAllThatIsLeft) {
  handler::Geometry geometry = thin();
  geometry.max_discard_bytes = 1024;
  TestLun lun({.geometry = geometry});
  lun.fill(Lba{0}, BlockCount{8}, 0xff);
  lun.device.hold(true);
  TestCommand& command = lun.start(GetParam().cdb(Lba{0}, BlockCount{6}, kUnmap), lun.block_of(0));
  lun.device.finish();
  lun.device.finish(0, IoStatus::NotSupported);
  EXPECT_EQ(lun.device.held_op(0), (Op{OpKind::WriteZeroes, 1024, 2048}));
  lun.device.finish_all();
  EXPECT_THAT(command.reply(), IsGood());
  EXPECT_EQ(lun.medium(Lba{0}, BlockCount{6}), Bytes(6 * 512, 0));
}

TEST_P(WriteSame, IsSafeFromPowerCutsWhileTheCacheIsOff) {
  TestLun lun({.geometry = thin()});
  lun.switch_cache_off();
  lun.put(GetParam().cdb(Lba{0}, BlockCount{1}, 0), lun.block_of(1));
  lun.put(GetParam().cdb(Lba{0}, BlockCount{1}, 0), lun.block_of(0));
  lun.put(GetParam().cdb(Lba{0}, BlockCount{1}, kUnmap), lun.block_of(0));
  EXPECT_THAT(lun.device.ops, ElementsAre(Op{OpKind::Write, 0, 512, Durability::Durable},
                                          Op{OpKind::WriteZeroes, 0, 512, Durability::Durable},
                                          Op{OpKind::Discard, 0, 512}, Op{OpKind::Flush}));
}

// WSNZ 0 in VPD B0h.
TEST_P(WriteSame, NoBlocksMeanAllUpToTheLast) {
  TestLun lun({.blocks = BlockCount{8}});
  EXPECT_EQ(lun.get(vpd(0xb0)).data[4] & 0x01, 0);
  EXPECT_THAT(lun.put(GetParam().cdb(Lba{5}, BlockCount{0}, 0), lun.block_of(1)), IsGood());
  EXPECT_EQ(lun.medium(Lba{5}, BlockCount{3}), Bytes(3 * 512, 1));
  EXPECT_EQ(lun.medium(Lba{4}, BlockCount{1}), lun.block_of(0));
  EXPECT_THAT(lun.put(GetParam().cdb(Lba{8}, BlockCount{0}, 0), lun.block_of(1)),
              HasSense(SenseKey::IllegalRequest, asc::kLbaOutOfRange));
}

TEST_P(WriteSame, NoBlocksOfALargeUnitAreMoreThanTheMaximum) {
  TestLun lun({.blocks = BlockCount{32'769}});
  const Reply reply = lun.put(GetParam().cdb(Lba{0}, BlockCount{0}, 0), lun.block_of(1));
  EXPECT_THAT(reply, HasSense(SenseKey::IllegalRequest, asc::kInvalidFieldInCdb));
  EXPECT_THAT(reply, PointsAtCdb(GetParam().count_byte));
}

TEST_P(WriteSame, PastTheLastBlockFails) {
  TestLun lun({.blocks = BlockCount{8}});
  EXPECT_THAT(lun.put(GetParam().cdb(Lba{7}, BlockCount{2}, 0), lun.block_of(1)),
              HasSense(SenseKey::IllegalRequest, asc::kLbaOutOfRange));
  EXPECT_THAT(lun.device.ops, IsEmpty());
}

TEST_P(WriteSame, AnchorIsRefused) {
  TestLun lun({.geometry = thin()});
  const Reply reply = lun.put(GetParam().cdb(Lba{0}, BlockCount{1}, kUnmap | kAnchor), lun.block_of(0));
  EXPECT_THAT(reply, HasSense(SenseKey::IllegalRequest, asc::kInvalidFieldInCdb));
  EXPECT_THAT(reply, PointsAtCdb(1, 4));
}

TEST_P(WriteSame, MoreOrLessThanOneBlockOfDataIsRefused) {
  TestLun lun({.geometry = thin()});
  for (const std::size_t bytes : {0, 256, 1024}) {
    EXPECT_THAT(lun.put(GetParam().cdb(Lba{0}, BlockCount{1}, kUnmap), Bytes(bytes)),
                HasSense(SenseKey::IllegalRequest, asc::kInvalidFieldInInformationUnit));
  }
  EXPECT_THAT(lun.device.ops, IsEmpty());
}

TEST_P(WriteSame, AFailureInTheMiddleIsReported) {
  TestLun lun({.blocks = BlockCount{1000}});
  lun.device.hold(true);
  TestCommand& command = lun.start(GetParam().cdb(Lba{0}, BlockCount{600}, 0), lun.block_of(1));
  lun.device.finish();
  lun.device.finish(0, IoStatus::NoSpace);
  EXPECT_THAT(command.reply(), HasSense(SenseKey::DataProtect, asc::kSpaceAllocationFailed));
  EXPECT_EQ(lun.device.held(), 0u);
}

TEST_P(WriteSame, OverlappingWritesWaitUntilTheLastChunk) {
  TestLun lun({.blocks = BlockCount{1000}});
  lun.device.hold(true);
  TestCommand& same = lun.start(GetParam().cdb(Lba{0}, BlockCount{600}, 0), lun.block_of(1));
  TestCommand& write = lun.start(write10(Lba{0}, BlockCount{1}), lun.block_of(2));
  lun.device.finish();
  lun.device.finish();
  EXPECT_EQ(lun.device.held(), 1u);  // the third chunk, not the write
  EXPECT_FALSE(same.answered());
  lun.device.finish_all();
  EXPECT_THAT(lun.answered, ElementsAre(&same, &write));
  EXPECT_EQ(lun.medium(Lba{0}, BlockCount{1}), lun.block_of(2));
}

TEST_P(WriteSame, TwoPatternsAtOnceDoNotMix) {
  TestLun lun({.blocks = BlockCount{2000}});
  lun.device.hold(true);
  lun.start(GetParam().cdb(Lba{0}, BlockCount{600}, 0), lun.block_of(1));
  lun.start(GetParam().cdb(Lba{1000}, BlockCount{600}, 0), lun.block_of(2));
  lun.device.finish_all();
  EXPECT_EQ(lun.medium(Lba{0}, BlockCount{600}), Bytes(600 * 512, 1));
  EXPECT_EQ(lun.medium(Lba{1000}, BlockCount{600}), Bytes(600 * 512, 2));
}

TEST(WriteSame16, WithoutADataOutBufferZeroesAreWritten) {
  TestLun lun({.geometry = thin()});
  lun.fill(Lba{0}, BlockCount{4}, 0xff);
  EXPECT_THAT(lun.put(write_same16(Lba{0}, BlockCount{2}, kNdob)), IsGood());
  EXPECT_THAT(lun.put(write_same16(Lba{2}, BlockCount{2}, kNdob | kUnmap)), IsGood());
  EXPECT_THAT(lun.device.ops, ElementsAre(Op{OpKind::WriteZeroes, 0, 1024}, Op{OpKind::Discard, 1024, 1024}));
}

TEST(WriteSame16, WithoutADataOutBufferZeroesAreWrittenByHandIfNeedBe) {
  TestLun lun;
  lun.fill(Lba{0}, BlockCount{4}, 0xff);
  lun.device.fail(OpKind::WriteZeroes, IoStatus::NotSupported);
  EXPECT_THAT(lun.put(write_same16(Lba{0}, BlockCount{3}, kNdob)), IsGood());
  EXPECT_EQ(lun.medium(Lba{0}, BlockCount{3}), Bytes(3 * 512, 0));
  EXPECT_EQ(lun.medium(Lba{3}, BlockCount{1}), lun.block_of(0xff));
}

TEST(WriteSame16, MoreThanTheMaximumOfVpdB0IsRefused) {
  TestLun lun({.blocks = BlockCount{32'769}});
  EXPECT_THAT(lun.put(write_same16(Lba{0}, BlockCount{32'768}, kNdob)), IsGood());
  const Reply reply = lun.put(write_same16(Lba{0}, BlockCount{32'769}, kNdob));
  EXPECT_THAT(reply, HasSense(SenseKey::IllegalRequest, asc::kInvalidFieldInCdb));
  EXPECT_THAT(reply, PointsAtCdb(10));
}

// The kernel's tcmu-runner divides by this (it is 0 with some handlers) and dies of mkfs.xfs.
TEST(WriteSame16, UnmapWithoutAGranularityIsFine) {
  handler::Geometry geometry = thin();
  geometry.discard_granularity_bytes = 0;
  TestLun lun({.geometry = geometry});
  EXPECT_THAT(lun.put(write_same16(Lba{1}, BlockCount{3}, kUnmap), lun.block_of(0)), IsGood());
}

TEST(WriteSame16, DiscardsInPiecesThatEndAtTheGranularity) {
  handler::Geometry geometry = thin();
  geometry.max_discard_bytes = 5000;
  geometry.discard_granularity_bytes = 4096;
  TestLun lun({.geometry = geometry});
  lun.put(write_same16(Lba{1}, BlockCount{30}, kUnmap), lun.block_of(0));
  EXPECT_THAT(lun.device.ops, ElementsAre(Op{OpKind::Discard, 512, 3584}, Op{OpKind::Discard, 4096, 4096},
                                          Op{OpKind::Discard, 8192, 4096}, Op{OpKind::Discard, 12288, 3584}));
}

}  // namespace
}  // namespace bulkhead::scsi
