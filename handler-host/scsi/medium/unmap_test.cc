#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "base/endian.h"
#include "handler-host/scsi/testing/test_lun.h"

namespace bulkhead::scsi {
namespace {

using namespace testing;
using handler::IoStatus;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

Reply unmap_now(TestLun& lun, std::initializer_list<std::pair<std::uint64_t, std::uint32_t>> ranges) {
  const Bytes list = unmap_list(ranges);
  return lun.put(unmap_cdb(list.size()), list);
}

TEST(Unmap, DiscardsEachRangeInOrder) {
  TestLun lun({.geometry = thin()});
  lun.fill(Lba{0}, BlockCount{64}, 0xff);
  EXPECT_THAT(unmap_now(lun, {{8, 2}, {0, 1}, {20, 4}}), IsGood());
  EXPECT_THAT(lun.device.ops, ElementsAre(Op{OpKind::Discard, 8 * 512, 1024}, Op{OpKind::Discard, 0, 512},
                                          Op{OpKind::Discard, 20 * 512, 2048}));
  EXPECT_EQ(lun.medium(Lba{8}, BlockCount{2}), Bytes(1024, 0));
  EXPECT_EQ(lun.medium(Lba{10}, BlockCount{1}), lun.block_of(0xff));
}

TEST(Unmap, NoListNoDescriptorsAndEmptyRangesAreGood) {
  TestLun lun({.blocks = BlockCount{64}, .geometry = thin()});
  EXPECT_THAT(lun.put(unmap_cdb(0)), IsGood());
  EXPECT_THAT(unmap_now(lun, {}), IsGood());
  EXPECT_THAT(unmap_now(lun, {{0, 0}, {5, 0}, {64, 0}}), IsGood());
  EXPECT_THAT(lun.device.ops, IsEmpty());
}

TEST(Unmap, AListShorterThanItsHeaderIsALengthError) {
  TestLun lun({.geometry = thin()});
  for (std::size_t bytes = 1; bytes < 8; ++bytes) {
    EXPECT_THAT(lun.put(unmap_cdb(bytes), Bytes(bytes)),
                HasSense(SenseKey::IllegalRequest, asc::kParameterListLengthError));
  }
}

TEST(Unmap, ALengthBeyondWhatWasSentIsALengthError) {
  TestLun lun({.geometry = thin()});
  EXPECT_THAT(lun.put(unmap_cdb(24), Bytes(23)),
              HasSense(SenseKey::IllegalRequest, asc::kParameterListLengthError));
}

// An 8-byte list that claims four descriptors makes tcmu-runner read 64 bytes beyond it. SBC-3: what the
// parameter list length cuts off is ignored.
TEST(Unmap, DescriptorsThatTheListLengthCutsOffAreIgnored) {
  TestLun lun({.geometry = thin()});
  const Bytes list = unmap_list({{1, 1}, {2, 1}});
  EXPECT_THAT(lun.put(unmap_cdb(8), list), IsGood());
  EXPECT_THAT(lun.device.ops, IsEmpty());
  EXPECT_THAT(lun.put(unmap_cdb(8 + 16 + 15), list), IsGood());
  EXPECT_THAT(lun.device.ops, ElementsAre(Op{OpKind::Discard, 512, 512}));
}

TEST(Unmap, AnIncompleteLastDescriptorIsIgnored) {
  TestLun lun({.geometry = thin()});
  Bytes list = unmap_list({{1, 1}, {2, 1}});
  put_be16(std::span<std::uint8_t, 2>(&list[2], 2), 31);
  EXPECT_THAT(lun.put(unmap_cdb(list.size()), list), IsGood());
  EXPECT_THAT(lun.device.ops, ElementsAre(Op{OpKind::Discard, 512, 512}));
}

TEST(Unmap, LengthsThatContradictEachOtherAreRefused) {
  TestLun lun({.geometry = thin()});
  Bytes list = unmap_list({{1, 1}});
  put_be16(std::span<std::uint8_t, 2>(&list[0], 2), 21);  // 22 would hold header and descriptor
  const Reply reply = lun.put(unmap_cdb(list.size()), list);
  EXPECT_THAT(reply, HasSense(SenseKey::IllegalRequest, asc::kInvalidFieldInParameterList));
  EXPECT_THAT(reply, PointsAtList(0));
}

TEST(Unmap, OneBadRangeRefusesAllOfThemBeforeAnythingIsDone) {
  TestLun lun({.blocks = BlockCount{64}, .geometry = thin()});
  const Reply reply = unmap_now(lun, {{0, 8}, {60, 5}});
  EXPECT_THAT(reply, HasSense(SenseKey::IllegalRequest, asc::kLbaOutOfRange));
  EXPECT_THAT(reply, PointsAtList(8 + 16));
  EXPECT_THAT(lun.device.ops, IsEmpty());
}

TEST(Unmap, ARangeWhoseEndOverflowsIsOutOfRange) {
  TestLun lun({.geometry = thin()});
  EXPECT_THAT(unmap_now(lun, {{~std::uint64_t{0}, 0xffffffff}}),
              HasSense(SenseKey::IllegalRequest, asc::kLbaOutOfRange));
}

TEST(Unmap, MoreBlocksThanTheMaximumInAllDescriptorsTogetherAreRefused) {
  TestLun lun({.blocks = BlockCount{4097}, .geometry = thin()});
  const Bytes one = unmap_list({{0, 4096}});
  Bytes list(8 + 16 * 256);
  put_be16(std::span<std::uint8_t, 2>(&list[0], 2), static_cast<std::uint16_t>(list.size() - 2));
  put_be16(std::span<std::uint8_t, 2>(&list[2], 2), static_cast<std::uint16_t>(list.size() - 8));
  for (std::size_t i = 0; i < 256; ++i) std::copy(one.begin() + 8, one.end(), &list[8 + 16 * i]);
  lun.device.fail(OpKind::Discard, IoStatus::Busy);  // as far as the device is as far as a test needs
  EXPECT_THAT(lun.put(unmap_cdb(list.size()), list), IsBusy());  // 2^20 blocks

  list.back() = 0;
  list[8 + 16 * 255 + 11] = 1;  // 4097 in the last one
  const Reply reply = lun.put(unmap_cdb(list.size()), list);
  EXPECT_THAT(reply, HasSense(SenseKey::IllegalRequest, asc::kInvalidFieldInParameterList));
  EXPECT_THAT(reply, PointsAtList(8 + 16 * 255 + 8));
}

TEST(Unmap, TheMaximumOfDescriptorsIsTakenAndOneMoreIsRefused) {
  TestLun lun({.geometry = thin()});
  for (const std::size_t descriptors : {256u, 257u}) {
    Bytes list(8 + 16 * descriptors);
    put_be16(std::span<std::uint8_t, 2>(&list[0], 2), static_cast<std::uint16_t>(list.size() - 2));
    put_be16(std::span<std::uint8_t, 2>(&list[2], 2), static_cast<std::uint16_t>(list.size() - 8));
    for (std::size_t i = 0; i < descriptors; ++i) list[8 + 16 * i + 11] = 1;
    const Reply reply = lun.put(unmap_cdb(list.size()), list);
    if (descriptors == 256) {
      EXPECT_THAT(reply, IsGood());
    } else {
      EXPECT_THAT(reply, HasSense(SenseKey::IllegalRequest, asc::kInvalidFieldInParameterList));
      EXPECT_THAT(reply, PointsAtList(2));
    }
  }
  EXPECT_EQ(lun.device.ops.size(), 256u);
}

TEST(Unmap, AnchorIsRefused) {
  TestLun lun({.geometry = thin()});
  Bytes cdb = unmap_cdb(0);
  cdb[1] = 0x01;
  const Reply reply = lun.run(cdb);
  EXPECT_THAT(reply, HasSense(SenseKey::IllegalRequest, asc::kInvalidFieldInCdb));
  EXPECT_THAT(reply, PointsAtCdb(1, 0));
}

TEST(Unmap, AFailureIsReportedAndEndsTheCommand) {
  TestLun lun({.geometry = thin()});
  lun.device.hold(true);
  const Bytes list = unmap_list({{0, 1}, {2, 1}, {4, 1}});
  TestCommand& command = lun.start(unmap_cdb(list.size()), list);
  lun.device.finish();
  lun.device.finish(0, IoStatus::WriteError);
  EXPECT_THAT(command.reply(), HasSense(SenseKey::MediumError, asc::kWriteError));
  EXPECT_EQ(lun.device.ops.size(), 2u);
}

TEST(Unmap, ADiscardThatTheBackEndTurnsOutNotToKnowMakesInitiatorsStopAsking) {
  TestLun lun({.geometry = thin()});
  lun.device.fail(OpKind::Discard, IoStatus::NotSupported);
  EXPECT_THAT(unmap_now(lun, {{0, 1}}), HasSense(SenseKey::IllegalRequest, asc::kInvalidOpcode));
}

TEST(Unmap, LargeRangesGoInPiecesOfWhatTheHandlerTakes) {
  handler::Geometry geometry = thin();
  geometry.max_discard_bytes = 2048;
  TestLun lun({.geometry = geometry});
  EXPECT_THAT(unmap_now(lun, {{0, 6}, {10, 1}}), IsGood());
  EXPECT_THAT(lun.device.ops, ElementsAre(Op{OpKind::Discard, 0, 2048}, Op{OpKind::Discard, 2048, 1024},
                                          Op{OpKind::Discard, 5120, 512}));
}

// Pieces end where a granule does, and the first granule begins at the alignment.
TEST(Unmap, PiecesEndWithAGranule) {
  handler::Geometry geometry = thin();
  geometry.max_discard_bytes = 5120;
  geometry.discard_granularity_bytes = 4096;
  geometry.discard_alignment_bytes = 1024;
  TestLun lun({.geometry = geometry});
  EXPECT_THAT(unmap_now(lun, {{0, 22}}), IsGood());
  EXPECT_THAT(lun.device.ops, ElementsAre(Op{OpKind::Discard, 0, 5120}, Op{OpKind::Discard, 5120, 4096},
                                          Op{OpKind::Discard, 9216, 2048}));
}

TEST(Unmap, IsFlushedWhileTheCacheIsOff) {
  TestLun lun({.geometry = thin()});
  lun.switch_cache_off();
  unmap_now(lun, {{0, 1}});
  EXPECT_THAT(lun.device.ops, ElementsAre(Op{OpKind::Discard, 0, 512}, Op{OpKind::Flush}));
}

// A replay does the whole list again: no write to any of its ranges may have been answered before the UNMAP
// is.
TEST(Unmap, KeepsAllItsRangesUntilItIsAnswered) {
  TestLun lun({.geometry = thin()});
  lun.device.hold(true);
  const Bytes list = unmap_list({{10, 1}, {0, 1}});
  TestCommand& unmap = lun.start(unmap_cdb(list.size()), list);
  lun.device.finish();  // the first range is done
  TestCommand& inside = lun.start(write10(Lba{10}, BlockCount{1}), lun.block_of(1));
  TestCommand& outside = lun.start(write10(Lba{11}, BlockCount{1}), lun.block_of(2));
  EXPECT_EQ(lun.device.held(), 2u);  // the second range, and the write outside of them
  lun.device.finish(1);
  EXPECT_TRUE(outside.answered());
  lun.device.finish_all();
  EXPECT_THAT(lun.answered, ElementsAre(&outside, &unmap, &inside));
  EXPECT_EQ(lun.medium(Lba{10}, BlockCount{1}), lun.block_of(1));
}

// In the order of arrival, also among lists: the write came after the second list, and waits for it.
TEST(Unmap, IsNotOvertakenByALaterWriteWhileItWaitsForAnEarlierList) {
  TestLun lun({.geometry = thin()});
  lun.device.hold(true);
  const Bytes first = unmap_list({{0, 1}, {4, 1}});
  const Bytes second = unmap_list({{2, 1}, {8, 1}});
  TestCommand& a = lun.start(unmap_cdb(first.size()), first);
  TestCommand& b = lun.start(unmap_cdb(second.size()), second);
  TestCommand& write = lun.start(write10(Lba{8}, BlockCount{1}), lun.block_of(3));
  lun.device.finish_all();
  EXPECT_THAT(lun.answered, ElementsAre(&a, &b, &write));
  EXPECT_EQ(lun.medium(Lba{8}, BlockCount{1}), lun.block_of(3));
}

}  // namespace
}  // namespace bulkhead::scsi
