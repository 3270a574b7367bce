#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "handler-host/scsi/testing/copy_lists.h"
#include "handler-host/scsi/testing/test_lun.h"

namespace bulkhead::scsi {
namespace {

using namespace testing;
using handler::IoStatus;
using ::testing::Contains;
using ::testing::ElementsAre;

constexpr std::uint8_t kOverwrite = 0x01;
constexpr std::uint8_t kBlockErase = 0x02;
constexpr std::uint8_t kExitFailureMode = 0x1f;
constexpr std::uint8_t kImmed = 0x80;
constexpr std::uint8_t kAuse = 0x20;
constexpr std::uint8_t kInvert = 0x80;
constexpr std::uint64_t kMebibyte = 1 << 20;

Bytes sanitize(std::uint8_t byte1, std::size_t list_bytes = 0) {
  return {0x48,
          byte1,
          0,
          0,
          0,
          0,
          0,
          static_cast<std::uint8_t>(list_bytes >> 8),
          static_cast<std::uint8_t>(list_bytes),
          0};
}
Bytes list_of(std::uint8_t byte0, const Bytes& pattern) {
  Bytes list(4 + pattern.size());
  list[0] = byte0;
  list[2] = static_cast<std::uint8_t>(pattern.size() >> 8);
  list[3] = static_cast<std::uint8_t>(pattern.size());
  std::ranges::copy(pattern, list.begin() + 4);
  return list;
}
Reply overwrite(TestLun& lun, std::uint8_t flags, const Bytes& list) {
  return lun.put(sanitize(kOverwrite | flags, list.size()), list);
}
// One that is under way: its first write is held back.
TestCommand& start_overwrite(TestLun& lun, std::uint8_t flags = kImmed, std::uint8_t passes = 1) {
  lun.device.hold(true);
  const Bytes list = list_of(passes, {0x5a});
  return lun.start(sanitize(kOverwrite | flags, list.size()), list);
}
void go_on(TestLun& lun) {
  lun.device.hold(false);
  lun.device.finish_all();
}
void fail_one(TestLun& lun, std::uint8_t flags) {
  start_overwrite(lun, kImmed | flags);
  lun.device.hold(false);
  lun.device.finish(0, IoStatus::WriteError);
}
std::uint16_t progress_of(const Reply& reply) {
  EXPECT_EQ(reply.sense[15], 0x80);  // SKSV
  return static_cast<std::uint16_t>(reply.sense[16] << 8 | reply.sense[17]);
}
Bytes request_sense_cdb() {
  return {0x03, 0, 0, 0, 252, 0};
}
std::vector<Op> flushes_and_first_bytes(const std::vector<Op>& ops) {
  std::vector<Op> seen;
  for (const Op& op : ops)
    if (op.kind == OpKind::Flush || op.at == 0) seen.push_back(op);
  return seen;
}

TEST(Sanitize, ACopyThatWaitedForTheIdentityMeanwhileIsRefused) {
  TestLun lun;
  lun.identity.hold = true;
  const Bytes list = lid1_list({.segments = {segment(Lba{0}, Lba{8}, 1)}});
  const TestCommand& copy = lun.start(extended_copy_cdb(static_cast<std::uint32_t>(list.size())), list);
  start_overwrite(lun);
  lun.identity.answer_held();
  EXPECT_THAT(copy.reply(), HasSense(SenseKey::NotReady, asc::kSanitizeInProgress))
      << "it might bring back what was overwritten";
  go_on(lun);
}

TEST(Sanitize, ATokenThatIsMadeAfterItsStartIsRevoked) {
  constexpr std::uint8_t kTokenInformation = 0x07;
  TestLun lun;
  lun.device.hold(true);
  lun.start(write10(Lba{0}, BlockCount{1}), lun.block_of(1));
  const Bytes make = populate_list({{0, 8}});
  const TestCommand& populate = lun.start(token_cdb(kPopulate, 1, make.size()), make);
  start_overwrite(lun);
  lun.device.finish();
  EXPECT_THAT(populate.reply(), IsGood());
  go_on(lun);
  const Bytes told = lun.get(receive_copy4(kTokenInformation, 1)).data;
  ASSERT_GE(told.size(), 512u);
  const Bytes use = write_using_list(Bytes(told.end() - 512, told.end()), {{20, 1}});
  EXPECT_THAT(lun.put(token_cdb(kWriteUsing, 2, use.size()), use),
              HasSense(SenseKey::IllegalRequest, asc::kTokenRevoked));
}

// It has passed its checks, and must not wait for hours.
TEST(Sanitize, AVerifyThatWasThereBeforeGoesOnBetweenTwoPieces) {
  TestLun lun({.blocks = BlockCount{2048}});
  lun.device.hold(true);
  const TestCommand& verify = lun.start(extent_cdb(0x2f, Lba{0}, BlockCount{1}, 0x02), lun.block_of(0));
  ASSERT_EQ(lun.device.held(), 1u);
  ASSERT_EQ(lun.device.held_op(0).kind, OpKind::Flush);
  start_overwrite(lun);
  lun.device.finish();
  for (int piece = 0; piece < 2 && !verify.answered(); ++piece)
    while (lun.device.held() > 0 && !verify.answered()) {
      lun.device.finish(lun.device.held() - 1);
      if (lun.device.held_op(0).kind == OpKind::Write) break;
    }
  EXPECT_TRUE(verify.answered());
  EXPECT_TRUE(lun.unit.under_way() > 0u) << "the sanitize goes on";
  go_on(lun);
}

TEST(SanitizeOverwrite, PutsThePatternIntoEveryBlockAndFlushes) {
  TestLun lun;
  lun.fill(Lba{0}, lun.shape.blocks, 0x11);
  EXPECT_THAT(overwrite(lun, 0, list_of(1, lun.block_of(0xaa))), IsGood());
  EXPECT_EQ(lun.medium(Lba{0}, lun.shape.blocks), Bytes(64 * 512, 0xaa));
  EXPECT_THAT(lun.device.ops, ElementsAre(Op{OpKind::Write, 0, 64 * 512}, Op{OpKind::Flush}));
  EXPECT_THAT(lun.run(test_unit_ready_cdb()), IsGood());
}

TEST(SanitizeOverwrite, AShortPatternIsRepeatedFromTheStartOfEachBlock) {
  TestLun lun;
  EXPECT_THAT(overwrite(lun, 0, list_of(1, {1, 2, 3})), IsGood());
  Bytes block(512);
  for (std::size_t i = 0; i < block.size(); ++i) block[i] = static_cast<std::uint8_t>(1 + i % 3);
  for (std::uint64_t lba = 0; lba < 64; ++lba) ASSERT_EQ(lun.medium(Lba{lba}, BlockCount{1}), block) << lba;
}

// A handler's write_zeroes() may leave the old content on the disk.
TEST(SanitizeOverwrite, ZeroesAreWrittenAndNotLeftToTheHandler) {
  TestLun lun({.geometry = thin()});
  EXPECT_THAT(overwrite(lun, 0, list_of(1, {0, 0, 0, 0})), IsGood());
  EXPECT_THAT(lun.device.ops, ElementsAre(Op{OpKind::Write, 0, 64 * 512}, Op{OpKind::Flush}));
}

TEST(SanitizeOverwrite, EachPassIsOnTheDiskBeforeTheNextOne) {
  TestLun lun({.blocks = BlockCount{512}});
  EXPECT_THAT(overwrite(lun, 0, list_of(3, {0x77})), IsGood());
  const Op write{OpKind::Write, 0, 128 * 1024};
  const Op flush{OpKind::Flush};
  EXPECT_THAT(flushes_and_first_bytes(lun.device.ops), ElementsAre(write, flush, write, flush, write, flush));
}

TEST(SanitizeOverwrite, InvertedPassesEndWithThePatternItself) {
  for (const std::uint8_t passes : {std::uint8_t{2}, std::uint8_t{3}}) {
    TestLun lun;
    Bytes first_bytes;
    lun.device.on_begin = [&](const Op& op) {
      if (op.kind == OpKind::Flush) first_bytes.push_back(lun.medium(Lba{5}, BlockCount{1}).front());
    };
    EXPECT_THAT(overwrite(lun, 0, list_of(kInvert | passes, {0x0f})), IsGood());
    EXPECT_EQ(first_bytes, passes == 2 ? (Bytes{0xf0, 0x0f}) : (Bytes{0x0f, 0xf0, 0x0f}));
  }
}

TEST(SanitizeOverwrite, IsFlushedAtIntervals) {
  TestLun lun({.blocks = BlockCount{130 * kMebibyte / 512}});
  EXPECT_THAT(overwrite(lun, 0, list_of(1, {1})), IsGood());
  EXPECT_EQ(std::ranges::count(lun.device.ops, OpKind::Flush, &Op::kind), 3);
}

TEST(SanitizeOverwrite, TheListIsCheckedFirst) {
  TestLun lun;
  const auto refusal = [&](const Bytes& list) {
    const Reply reply = overwrite(lun, 0, list);
    EXPECT_THAT(reply, HasSense(SenseKey::IllegalRequest, asc::kInvalidFieldInParameterList));
    return reply;
  };
  EXPECT_THAT(refusal(list_of(0, {1})), PointsAtList(0, 4));
  EXPECT_THAT(refusal(list_of(0x20 | 1, {1})), PointsAtList(0, 6));
  EXPECT_THAT(refusal({1, 1, 0, 1, 0}), PointsAtList(1));
  EXPECT_THAT(refusal({1, 0, 0, 0, 0}), PointsAtList(2));
  EXPECT_THAT(refusal({1, 0, 0, 2, 0}), PointsAtList(2));        // more pattern than list
  EXPECT_THAT(refusal({1, 0, 0x02, 0x01, 0}), PointsAtList(2));  // more than a block
  EXPECT_TRUE(lun.device.ops.empty());
}

TEST(SanitizeOverwrite, TheListHasAHeaderAndAtMostABlock) {
  TestLun lun;
  for (const std::size_t bytes : {0, 1, 4, 512 + 5}) {
    const Reply reply = lun.put(sanitize(kOverwrite, bytes), Bytes(bytes + 3, 1));
    EXPECT_THAT(reply, HasSense(SenseKey::IllegalRequest, asc::kInvalidFieldInCdb)) << bytes;
    EXPECT_THAT(reply, PointsAtCdb(7)) << bytes;
  }
  EXPECT_THAT(lun.put(sanitize(kOverwrite, 516), Bytes(515, 1)),
              HasSense(SenseKey::IllegalRequest, asc::kInvalidFieldInInformationUnit));
  EXPECT_TRUE(lun.device.ops.empty());
}

// With its space given back only after the zeroes are on the disk.
TEST(SanitizeBlockErase, OverwritesThenGivesTheSpaceBack) {
  handler::Geometry geometry = thin();
  geometry.max_discard_bytes = 16 * 1024;
  TestLun lun({.geometry = geometry});
  lun.fill(Lba{0}, lun.shape.blocks, 0x11);
  EXPECT_THAT(lun.run(sanitize(kBlockErase)), IsGood());
  EXPECT_EQ(lun.medium(Lba{0}, lun.shape.blocks), Bytes(64 * 512, 0));
  EXPECT_THAT(lun.device.ops,
              ElementsAre(Op{OpKind::Write, 0, 32768}, Op{OpKind::Flush}, Op{OpKind::Discard, 0, 16384},
                          Op{OpKind::Discard, 16384, 16384}, Op{OpKind::Flush}));
}

TEST(SanitizeBlockErase, NeverNeedsRoomForAllOfAThinDevice) {
  TestLun lun({.blocks = BlockCount{128 * kMebibyte / 512}, .geometry = thin()});
  EXPECT_THAT(lun.run(sanitize(kBlockErase)), IsGood());
  const auto discard = std::ranges::find(lun.device.ops, OpKind::Discard, &Op::kind);
  EXPECT_EQ(*discard, (Op{OpKind::Discard, 0, 64 * kMebibyte}));
  EXPECT_NE(std::ranges::find(discard, lun.device.ops.end(), OpKind::Write, &Op::kind), lun.device.ops.end());
}

TEST(SanitizeBlockErase, IsDoneIfTheSpaceCannotBeGivenBack) {
  TestLun lun({.geometry = thin()});
  lun.fill(Lba{0}, lun.shape.blocks, 0x11);
  lun.device.fail(OpKind::Discard, IoStatus::NotSupported);
  EXPECT_THAT(lun.run(sanitize(kBlockErase)), IsGood());
  EXPECT_EQ(lun.medium(Lba{0}, lun.shape.blocks), Bytes(64 * 512, 0));
}

TEST(SanitizeBlockErase, HasNoListAndNeedsDiscards) {
  TestLun lun({.geometry = thin()});
  EXPECT_THAT(lun.put(sanitize(kBlockErase, 8), Bytes(8)),
              HasSense(SenseKey::IllegalRequest, asc::kInvalidFieldInCdb));
  TestLun thick;
  const Reply reply = thick.run(sanitize(kBlockErase));
  EXPECT_THAT(reply, HasSense(SenseKey::IllegalRequest, asc::kInvalidFieldInCdb));
  EXPECT_THAT(reply, PointsAtCdb(1, 4));
}

// iscsi-test-cu demands that WABEREQ is told where BLOCK ERASE is, and is 0 where not.
TEST(SanitizeBlockErase, WhatIsReadAfterItIsTold) {
  TestLun with({.geometry = thin()});
  TestLun without;
  EXPECT_EQ(with.get(vpd(0xb1)).data[7], 0x40);
  EXPECT_EQ(without.get(vpd(0xb1)).data[7], 0x00);
}

TEST(Sanitize, WhatIsNotThereIsNotReported) {
  TestLun lun({.geometry = thin()});
  for (const std::uint8_t action : Bytes{0x00, 0x03, 0x04, 0x1e}) {
    const Reply reply = lun.run(sanitize(action));
    EXPECT_THAT(reply, HasSense(SenseKey::IllegalRequest, asc::kInvalidFieldInCdb)) << int{action};
    EXPECT_THAT(reply, PointsAtCdb(1, 4)) << int{action};
  }
  const auto support = [&](std::uint8_t action) {
    return lun.get({0xa3, 0x0c, 0x02, 0x48, 0, action, 0, 0, 0, 64, 0, 0}).data[1] & 0x07;
  };
  EXPECT_EQ(support(0x01), 3);
  EXPECT_EQ(support(0x02), 3);
  EXPECT_EQ(support(0x03), 1);
  EXPECT_EQ(support(0x1f), 3);
}

TEST(Sanitize, WithoutImmedIsAnsweredAtItsEnd) {
  TestLun lun;
  TestCommand& command = start_overwrite(lun, 0);
  EXPECT_FALSE(command.answered());
  lun.device.finish();  // the write
  EXPECT_FALSE(command.answered());
  go_on(lun);
  EXPECT_THAT(command.reply(), IsGood());
  EXPECT_EQ(lun.unit.under_way(), 0u);
}

TEST(Sanitize, WithImmedIsAnsweredAtOnceAndCountsAsUnderWay) {
  TestLun lun;
  EXPECT_THAT(start_overwrite(lun).reply(), IsGood());
  EXPECT_EQ(lun.unit.under_way(), 1u);
  go_on(lun);
  EXPECT_EQ(lun.unit.under_way(), 0u);
  EXPECT_EQ(lun.medium(Lba{63}, BlockCount{1}), lun.block_of(0x5a));
}

TEST(Sanitize, WaitsForTheChangesUnderWay) {
  TestLun lun;
  lun.device.hold(true);
  TestCommand& write = lun.start(write10(Lba{0}, BlockCount{1}), lun.block_of(0x11));
  start_overwrite(lun);
  ASSERT_EQ(lun.device.held(), 1u);
  EXPECT_EQ(lun.device.held_op(0), (Op{OpKind::Write, 0, 512}));
  go_on(lun);
  EXPECT_THAT(write.reply(), IsGood());
  EXPECT_EQ(lun.medium(Lba{0}, BlockCount{1}), lun.block_of(0x5a));
}

TEST(Sanitize, WhileItIsUnderWayOthersAreToldHowFarItIs) {
  TestLun lun({.blocks = BlockCount{1024}});  // four writes
  start_overwrite(lun, kImmed, 2);
  for (const Bytes& cdb :
       {test_unit_ready_cdb(), read10(Lba{0}, BlockCount{1}), Bytes{0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0},
        Bytes{0x1b, 1, 0, 1, 2, 0}, sanitize(kExitFailureMode)}) {
    const Reply reply = lun.run(cdb);
    EXPECT_THAT(reply, HasSense(SenseKey::NotReady, asc::kSanitizeInProgress)) << int{cdb[0]};
    EXPECT_EQ(progress_of(reply), 0);
  }
  const Bytes list = list_of(1, {1});
  EXPECT_THAT(lun.put(sanitize(kOverwrite, list.size()), list),
              HasSense(SenseKey::NotReady, asc::kSanitizeInProgress));
  EXPECT_THAT(lun.get(inquiry_of()).reply, IsGood());
  lun.device.finish();
  EXPECT_EQ(progress_of(lun.run(test_unit_ready_cdb())), 0x10000 / 8);
  for (int i = 0; i < 4; ++i) lun.device.finish();  // three writes and a flush
  EXPECT_EQ(progress_of(lun.run(test_unit_ready_cdb())), 0x10000 / 2);
  go_on(lun);
  EXPECT_THAT(lun.run(test_unit_ready_cdb()), IsGood());
}

TEST(Sanitize, RequestSenseReturnsTheProgressAsData) {
  TestLun lun({.blocks = BlockCount{1024}});
  start_overwrite(lun);
  lun.device.finish();
  const Answer answer = lun.get(request_sense_cdb());
  EXPECT_THAT(answer.reply, IsGood());
  ASSERT_EQ(answer.data.size(), 18u);
  EXPECT_EQ(answer.data[2], 0x02);
  EXPECT_EQ(answer.data[12] << 8 | answer.data[13], 0x041b);
  EXPECT_EQ(answer.data[15], 0x80);
  EXPECT_EQ(answer.data[16] << 8 | answer.data[17], 0x4000);
  go_on(lun);
  EXPECT_EQ(lun.get(request_sense_cdb()).data[2], 0x00);
}

TEST(Sanitize, AnAdministratorCanSwitchTheCacheOffMeanwhile) {
  TestLun lun({.blocks = BlockCount{1024}});
  start_overwrite(lun);
  bool off = false;
  lun.unit.set_write_cache(false, [&](const Result<>& result) { off = result.has_value(); });
  lun.device.finish();  // the piece under way
  EXPECT_EQ(lun.device.held_op(0), (Op{OpKind::Flush}));
  lun.device.finish();
  EXPECT_TRUE(off);
  go_on(lun);
  EXPECT_EQ(lun.medium(Lba{1023}, BlockCount{1}), lun.block_of(0x5a));
}

TEST(Sanitize, AFailureIsAnsweredAndKeepsTheMediumShut) {
  TestLun lun;
  TestCommand& command = start_overwrite(lun, 0);
  lun.device.hold(false);
  lun.device.finish(0, IoStatus::WriteError);
  EXPECT_THAT(command.reply(), HasSense(SenseKey::MediumError, asc::kSanitizeFailed));
  EXPECT_THAT(lun.run(test_unit_ready_cdb()), HasSense(SenseKey::MediumError, asc::kSanitizeFailed));
  EXPECT_THAT(lun.run(read10(Lba{0}, BlockCount{1})), HasSense(SenseKey::MediumError, asc::kSanitizeFailed));
  EXPECT_THAT(lun.get(inquiry_of()).reply, IsGood());
  EXPECT_EQ(lun.get(request_sense_cdb()).data[13], 0x03);
  EXPECT_EQ(lun.unit.under_way(), 0u);
  EXPECT_THAT(lun.services.lines, Contains(::testing::HasSubstr("SANITIZE OVERWRITE has failed")));
}

TEST(Sanitize, AFailedFlushIsAFailure) {
  TestLun lun;
  lun.device.fail(OpKind::Flush, IoStatus::WriteError);
  EXPECT_THAT(overwrite(lun, 0, list_of(1, {1})), HasSense(SenseKey::MediumError, asc::kSanitizeFailed));
}

TEST(Sanitize, WhatAHandlerIsTooBusyForIsDoneAgain) {
  TestLun lun;
  TestCommand& command = start_overwrite(lun, 0);
  lun.device.finish(0, IoStatus::Busy);
  ASSERT_EQ(lun.device.held(), 1u) << "the same once more";
  EXPECT_EQ(lun.device.held_op(0).kind, OpKind::Write);
  EXPECT_EQ(lun.device.held_op(0).at, 0u);
  go_on(lun);
  EXPECT_THAT(command.reply(), IsGood());
}

TEST(Sanitize, ExitFailureModeEndsAFailureIfThatWasAllowed) {
  TestLun lun;
  fail_one(lun, kAuse);
  EXPECT_THAT(lun.run(sanitize(kExitFailureMode)), IsGood());
  EXPECT_THAT(lun.run(test_unit_ready_cdb()), IsGood());
}

TEST(Sanitize, InRestrictedModeOnlyASuccessEndsAFailure) {
  TestLun lun;
  fail_one(lun, 0);
  Reply reply = lun.run(sanitize(kExitFailureMode));
  EXPECT_THAT(reply, HasSense(SenseKey::IllegalRequest, asc::kInvalidFieldInCdb));
  EXPECT_THAT(reply, PointsAtCdb(1, 4));
  reply = overwrite(lun, kAuse, list_of(1, {1}));
  EXPECT_THAT(reply, HasSense(SenseKey::IllegalRequest, asc::kInvalidFieldInCdb));
  EXPECT_THAT(reply, PointsAtCdb(1, 5));
  EXPECT_THAT(overwrite(lun, 0, list_of(1, {1})), IsGood());
  EXPECT_THAT(lun.run(test_unit_ready_cdb()), IsGood());
}

TEST(Sanitize, ExitFailureModeWithoutAFailureIsNoErrorAndHasNoList) {
  TestLun lun;
  EXPECT_THAT(lun.run(sanitize(kExitFailureMode)), IsGood());
  EXPECT_THAT(lun.put(sanitize(kExitFailureMode, 8), Bytes(8)),
              HasSense(SenseKey::IllegalRequest, asc::kInvalidFieldInCdb));
}

TEST(Sanitize, ADeviceThatGrowsMeanwhileIsErasedToItsEnd) {
  TestLun lun({.blocks = BlockCount{256}});
  start_overwrite(lun);
  ASSERT_TRUE(lun.device.resize({512 * 512}));
  lun.unit.resized({512 * 512});
  go_on(lun);
  EXPECT_EQ(lun.medium(Lba{511}, BlockCount{1}), lun.block_of(0x5a));
}

TEST(Sanitize, ADeviceThatShrinksMeanwhileIsErasedToItsEnd) {
  TestLun lun({.blocks = BlockCount{1024}});
  start_overwrite(lun);
  lun.device.finish();
  lun.device.finish();
  lun.device.hold(false);
  lun.unit.resized({256 * 512});
  go_on(lun);
  EXPECT_EQ(lun.unit.under_way(), 0u);
  EXPECT_THAT(lun.run(test_unit_ready_cdb()),
              HasSense(SenseKey::UnitAttention, asc::kCapacityDataHasChanged));
  EXPECT_THAT(lun.run(test_unit_ready_cdb()), IsGood());
}

TEST(Sanitize, NothingBeyondTheEndOfADeviceThatHasShrunkIsGivenBack) {
  TestLun lun({.blocks = BlockCount{1024}, .geometry = thin()});
  lun.device.hold(true);
  lun.start(sanitize(kBlockErase | kImmed));
  for (int i = 0; i < 4; ++i) lun.device.finish();  // the writes
  ASSERT_TRUE(lun.device.resize({256 * 512}));
  lun.unit.resized({256 * 512});
  go_on(lun);
  EXPECT_THAT(lun.device.ops, Contains(Op{OpKind::Discard, 0, 256 * 512}));
  EXPECT_EQ(lun.unit.under_way(), 0u);
}

}  // namespace
}  // namespace bulkhead::scsi
