#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "handler-host/scsi/testing/test_lun.h"

namespace bulkhead::scsi {
namespace {

using namespace testing;
using handler::Durability;
using handler::IoStatus;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr std::uint8_t kDpo = 0x10;
constexpr std::uint8_t kFua = 0x08;
constexpr std::uint8_t kFuaNv = 0x02;

// Every length of CDB: same meaning.
struct Form {
  const char* name;
  Bytes (*read)(Lba, BlockCount);
  Bytes (*write)(Lba, BlockCount);
};
class ReadWrite : public ::testing::TestWithParam<Form> {};
INSTANTIATE_TEST_SUITE_P(
    Forms, ReadWrite,
    ::testing::Values(Form{"Six",
                           [](Lba lba, BlockCount count) {
                             return read6(static_cast<std::uint32_t>(lba.value),
                                          static_cast<std::uint8_t>(count.value));
                           },
                           [](Lba lba, BlockCount count) {
                             return write6(static_cast<std::uint32_t>(lba.value),
                                           static_cast<std::uint8_t>(count.value));
                           }},
                      Form{"Ten", [](Lba lba, BlockCount count) { return read10(lba, count); },
                           [](Lba lba, BlockCount count) { return write10(lba, count); }},
                      Form{"Twelve", read12, write12},
                      Form{"Sixteen", read16, [](Lba lba, BlockCount count) { return write16(lba, count); }}),
    [](const auto& form) { return form.param.name; });

TEST_P(ReadWrite, WhatWasWrittenIsRead) {
  TestLun lun;
  Bytes two = lun.block_of(0x11);
  two.insert(two.end(), 512, 0x22);
  EXPECT_THAT(lun.put(GetParam().write(Lba{5}, BlockCount{2}), two), IsGood());
  const Answer answer = lun.get(GetParam().read(Lba{5}, BlockCount{2}), 1024);
  EXPECT_THAT(answer.reply, IsGood());
  EXPECT_EQ(answer.data, two);
  EXPECT_EQ(lun.medium(Lba{4}, BlockCount{1}), lun.block_of(0));
  EXPECT_EQ(lun.medium(Lba{7}, BlockCount{1}), lun.block_of(0));
}

TEST_P(ReadWrite, TheLastBlockCanBeReadAndWritten) {
  TestLun lun({.blocks = BlockCount{8}});
  EXPECT_THAT(lun.put(GetParam().write(Lba{7}, BlockCount{1}), lun.block_of(9)), IsGood());
  EXPECT_EQ(lun.get(GetParam().read(Lba{7}, BlockCount{1}), 512).data, lun.block_of(9));
}

TEST_P(ReadWrite, PastTheLastBlockFailsWithLbaOutOfRangeAndMovesNothing) {
  TestLun lun({.blocks = BlockCount{8}});
  for (const Reply& reply : {lun.get(GetParam().read(Lba{7}, BlockCount{2}), 1024).reply,
                             lun.put(GetParam().write(Lba{7}, BlockCount{2}), Bytes(1024))}) {
    EXPECT_THAT(reply, HasSense(SenseKey::IllegalRequest, asc::kLbaOutOfRange));
  }
  EXPECT_THAT(lun.device.ops, IsEmpty());
}

TEST_P(ReadWrite, BlocksOf4096BytesAreCountedAsSuch) {
  TestLun lun({.blocks = BlockCount{4}, .block_bytes = 4096});
  EXPECT_THAT(lun.put(GetParam().write(Lba{3}, BlockCount{1}), lun.block_of(7)), IsGood());
  EXPECT_THAT(lun.device.ops, ElementsAre(Op{OpKind::Write, 12288, 4096}));
  EXPECT_EQ(lun.get(GetParam().read(Lba{3}, BlockCount{1}), 8192).data, lun.block_of(7));
}

TEST_P(ReadWrite, ABackEndThatIsBusyGivesBusy) {
  TestLun lun;
  lun.device.fail(OpKind::Read, IoStatus::Busy);
  lun.device.fail(OpKind::Write, IoStatus::Busy);
  EXPECT_THAT(lun.get(GetParam().read(Lba{0}, BlockCount{1}), 512).reply, IsBusy());
  EXPECT_THAT(lun.put(GetParam().write(Lba{0}, BlockCount{1}), lun.block_of(1)), IsBusy());
}

TEST(Read6, ACountOfZeroMeans256Blocks) {
  TestLun lun({.blocks = BlockCount{256}});
  EXPECT_EQ(lun.get(read6(0, 0), 256 * 512).data.size(), 256u * 512);
}

TEST(Read10, NoBlocksAreGoodUpToTheEndOfTheMediumAndNotBeyond) {
  TestLun lun({.blocks = BlockCount{8}});
  EXPECT_THAT(lun.get(read10(Lba{8}, BlockCount{0})).reply, IsGood());
  EXPECT_THAT(lun.get(read10(Lba{9}, BlockCount{0})).reply,
              HasSense(SenseKey::IllegalRequest, asc::kLbaOutOfRange));
  EXPECT_THAT(lun.device.ops, IsEmpty());
}

TEST(Read16, AnLbaWhoseEndOverflowsIsOutOfRange) {
  TestLun lun;
  const Reply reply = lun.get(read16(Lba{~std::uint64_t{0}}, BlockCount{2})).reply;
  EXPECT_THAT(reply, HasSense(SenseKey::IllegalRequest, asc::kLbaOutOfRange));
  EXPECT_THAT(reply, PointsAtCdb(2));
}

// The byte offset of this LBA overflows 64 bits.
TEST(Read16, AnLbaWhoseOffsetOverflowsIsOutOfRange) {
  TestLun lun;
  EXPECT_THAT(lun.get(read16(Lba{std::uint64_t{1} << 55}, BlockCount{1})).reply,
              HasSense(SenseKey::IllegalRequest, asc::kLbaOutOfRange));
}

TEST(Read10, RdprotectIsRefusedWithAPointerToIt) {
  TestLun lun;
  const Reply reply = lun.get(read10(Lba{0}, BlockCount{1}, 0x20)).reply;
  EXPECT_THAT(reply, HasSense(SenseKey::IllegalRequest, asc::kInvalidFieldInCdb));
  EXPECT_THAT(reply, PointsAtCdb(1, 5));
}

TEST(Read10, DpoIsTakenAndFuaFlushesTheCacheBeforeReading) {
  TestLun lun;
  EXPECT_THAT(lun.get(read10(Lba{0}, BlockCount{1}, kDpo)).reply, IsGood());
  EXPECT_THAT(lun.get(read10(Lba{1}, BlockCount{1}, kDpo | kFua)).reply, IsGood());
  lun.switch_cache_off();
  lun.run(test_unit_ready_cdb());  // MODE PARAMETERS CHANGED
  EXPECT_THAT(lun.get(read10(Lba{2}, BlockCount{1}, kFua)).reply, IsGood());
  EXPECT_THAT(lun.device.ops, ElementsAre(Op{OpKind::Read, 0, 512}, Op{OpKind::Flush},
                                          Op{OpKind::Read, 512, 512}, Op{OpKind::Read, 1024, 512}));
}

TEST(Read10, FuaFailsIfTheCacheCannotBeFlushed) {
  TestLun lun;
  lun.device.fail(OpKind::Flush, IoStatus::WriteError);
  EXPECT_THAT(lun.get(read10(Lba{0}, BlockCount{1}, kFua)).reply,
              HasSense(SenseKey::HardwareError, asc::kWriteError));
}

TEST(Read10, ABufferLongerThanTheCdbGetsTheCdbsBlocks) {
  TestLun lun;
  lun.fill(Lba{0}, BlockCount{1}, 0x5a);
  EXPECT_EQ(lun.get(read10(Lba{0}, BlockCount{1}), 10'000).data, lun.block_of(0x5a));
}

TEST(Read10, ABufferOfFewerBlocksGetsTheFirst) {
  TestLun lun;
  lun.fill(Lba{0}, BlockCount{1}, 0x5a);
  EXPECT_EQ(lun.get(read10(Lba{0}, BlockCount{2}), 512).data, lun.block_of(0x5a));
  EXPECT_THAT(lun.device.ops, ElementsAre(Op{OpKind::Read, 0, 512}));
}

TEST(Read10, ABufferThatEndsWithinABlockGetsTheStartOfIt) {
  TestLun lun;
  lun.fill(Lba{0}, BlockCount{1}, 0x11);
  lun.fill(Lba{1}, BlockCount{1}, 0x22);
  const Answer answer = lun.get(read10(Lba{0}, BlockCount{2}), 512 + 200);
  EXPECT_THAT(answer.reply, IsGood());
  Bytes expected = lun.block_of(0x11);
  expected.insert(expected.end(), 200, 0x22);
  EXPECT_EQ(answer.data, expected);
}

TEST(Read10, ABufferSmallerThanABlockGetsWhatFits) {
  TestLun lun;
  lun.fill(Lba{3}, BlockCount{1}, 0x33);
  EXPECT_EQ(lun.get(read10(Lba{3}, BlockCount{1}), 200).data, Bytes(200, 0x33));
}

TEST(Read10, TwoReadsThatEndWithinABlockDoNotDisturbEachOther) {
  TestLun lun;
  lun.fill(Lba{0}, BlockCount{1}, 0x11);
  lun.fill(Lba{1}, BlockCount{1}, 0x22);
  lun.device.hold(true);
  TestCommand& first = lun.start(read10(Lba{0}, BlockCount{1}), Bytes(100));
  TestCommand& second = lun.start(read10(Lba{1}, BlockCount{1}), Bytes(100));
  EXPECT_EQ(lun.device.held(), 1u);  // there is one scratch buffer
  lun.device.finish_all();
  EXPECT_THAT(first.data, Each(std::byte{0x11}));
  EXPECT_THAT(second.data, Each(std::byte{0x22}));
}

TEST(Read10, WithoutABufferNothingIsReadAndNothingIsWrong) {
  TestLun lun;
  EXPECT_THAT(lun.get(read10(Lba{0}, BlockCount{1}), 0).reply, IsGood());
  EXPECT_THAT(lun.device.ops, IsEmpty());
}

TEST(Read10, MoreThanTheChannelCanCarryIsRefused) {
  TestLun lun({.largest_transfer_bytes = 4096});
  EXPECT_THAT(lun.get(read10(Lba{0}, BlockCount{8})).reply, IsGood());
  const Reply reply = lun.get(read10(Lba{0}, BlockCount{9})).reply;
  EXPECT_THAT(reply, HasSense(SenseKey::IllegalRequest, asc::kInvalidFieldInCdb));
  EXPECT_THAT(reply, PointsAtCdb(7));
}

// hw_max_sectors is what initiators are told (VPD B0h); its default of 128 is less than what some send.
TEST(Read10, MoreThanMaxSectorsIsNotRefused) {
  TestLun lun({.max_sectors = 4});
  EXPECT_THAT(lun.get(read10(Lba{0}, BlockCount{8})).reply, IsGood());
}

TEST(Write10, ABufferLongerThanTheCdbChangesTheCdbsBlocksAlone) {
  TestLun lun;
  EXPECT_THAT(lun.put(write10(Lba{0}, BlockCount{1}), Bytes(1024, 0xbb)), IsGood());
  EXPECT_EQ(lun.medium(Lba{0}, BlockCount{1}), lun.block_of(0xbb));
  EXPECT_EQ(lun.medium(Lba{1}, BlockCount{1}), lun.block_of(0));
}

TEST(Write10, ABufferShorterThanTheCdbIsRefusedAndChangesNothing) {
  TestLun lun;
  for (const std::size_t bytes : {0, 200, 512}) {
    EXPECT_THAT(lun.put(write10(Lba{0}, BlockCount{2}), Bytes(bytes, 0xbb)),
                HasSense(SenseKey::IllegalRequest, asc::kInvalidFieldInInformationUnit));
  }
  EXPECT_THAT(lun.device.ops, IsEmpty());
}

TEST(Write10, NoBlocksAreGoodAndNoWrite) {
  TestLun lun;
  EXPECT_THAT(lun.put(write10(Lba{0}, BlockCount{0})), IsGood());
  EXPECT_THAT(lun.device.ops, IsEmpty());
}

TEST(Write10, IsCachedUnlessFuaOrFuaNvAskForMore) {
  TestLun lun;
  lun.put(write10(Lba{0}, BlockCount{1}), lun.block_of(1));
  lun.put(write10(Lba{0}, BlockCount{1}, kDpo), lun.block_of(1));
  lun.put(write10(Lba{0}, BlockCount{1}, kFua), lun.block_of(1));
  lun.put(write10(Lba{0}, BlockCount{1}, kFuaNv), lun.block_of(1));
  lun.put(write6(8, 1), lun.block_of(1));  // 08h in its byte 1 would be part of the LBA
  EXPECT_THAT(lun.device.ops, ElementsAre(Op{OpKind::Write, 0, 512, Durability::Cached},   //
                                          Op{OpKind::Write, 0, 512, Durability::Cached},   //
                                          Op{OpKind::Write, 0, 512, Durability::Durable},  //
                                          Op{OpKind::Write, 0, 512, Durability::Durable},  //
                                          Op{OpKind::Write, 4096, 512, Durability::Cached}));
}

TEST(Write10, IsDurableWhileTheWriteCacheIsOff) {
  TestLun lun;
  lun.switch_cache_off();
  lun.put(write10(Lba{0}, BlockCount{1}), lun.block_of(1));
  EXPECT_THAT(lun.device.ops, ElementsAre(Op{OpKind::Write, 0, 512, Durability::Durable}));
}

struct Failure {
  IoStatus status;
  SenseKey key;
  AdditionalSense on_read;
  AdditionalSense on_write;
};
class BackEndFailure : public ::testing::TestWithParam<Failure> {};
INSTANTIATE_TEST_SUITE_P(
    EveryStatus, BackEndFailure,
    ::testing::Values(
        Failure{IoStatus::ReadError, SenseKey::MediumError, asc::kUnrecoveredReadError,
                asc::kUnrecoveredReadError},
        Failure{IoStatus::WriteError, SenseKey::MediumError, asc::kWriteError, asc::kWriteError},
        Failure{IoStatus::NoSpace, SenseKey::DataProtect, asc::kSpaceAllocationFailed,
                asc::kSpaceAllocationFailed},
        Failure{IoStatus::BeyondEnd, SenseKey::MediumError, asc::kUnrecoveredReadError, asc::kWriteError},
        Failure{IoStatus::WriteProtected, SenseKey::DataProtect, asc::kWriteProtected, asc::kWriteProtected},
        Failure{IoStatus::NotSupported, SenseKey::HardwareError, asc::kInternalTargetFailure,
                asc::kInternalTargetFailure}));

TEST_P(BackEndFailure, BecomesItsSenseAndALineInTheJournal) {
  const Failure& failure = GetParam();
  TestLun lun;
  lun.device.fail(OpKind::Read, failure.status);
  lun.device.fail(OpKind::Write, failure.status);
  EXPECT_THAT(lun.get(read10(Lba{1}, BlockCount{1})).reply, HasSense(failure.key, failure.on_read));
  EXPECT_THAT(lun.put(write10(Lba{2}, BlockCount{1}), lun.block_of(1)),
              HasSense(failure.key, failure.on_write));
  ASSERT_EQ(lun.services.lines.size(), 2u);
  EXPECT_THAT(lun.services.lines[0], HasSubstr("READ(10) LBA 1, 1 block"));
  EXPECT_THAT(lun.services.lines[1], HasSubstr("WRITE(10) LBA 2, 1 block"));
  EXPECT_THAT(lun.services.lines[1], HasSubstr(failure.on_write.text));
}

TEST(BackEnd, ThatIsShorterThanTheDeviceIsNamedInTheJournal) {
  TestLun lun;
  lun.device.fail(OpKind::Read, IoStatus::BeyondEnd);
  lun.get(read10(Lba{0}, BlockCount{1}));
  ASSERT_EQ(lun.services.lines.size(), 1u);
  EXPECT_THAT(lun.services.lines[0], HasSubstr("the back end is shorter than the device"));
}

TEST(BackEndDeathTest, AHandlerThatEndsAnOperationTwiceIsCaught) {
  EXPECT_DEATH(
      {
        TestLun lun;
        lun.get(read10(Lba{0}, BlockCount{1}));
        lun.device.end_again();
      },
      "invariant broken: pending_");
}

}  // namespace
}  // namespace bulkhead::scsi
