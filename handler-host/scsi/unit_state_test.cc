#include "handler-host/scsi/unit_state.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "handler-host/scsi/testing/mode_lists.h"
#include "handler-host/scsi/testing/test_lun.h"

namespace bulkhead::scsi {
namespace {

using namespace testing;
using handler::IoStatus;
using ::testing::Contains;
using ::testing::HasSubstr;

constexpr std::uint8_t kImmed = 0x80;
constexpr std::uint8_t kOverwrite = 0x01;
constexpr std::uint64_t kMebibyte = 1 << 20;

// Windows of 64 MiB: what is flushed and so remembered as done.
constexpr BlockCount kThreeWindows{160 * kMebibyte / 512};

Bytes pattern_list(std::uint8_t byte0, const Bytes& pattern) {
  Bytes list(4 + pattern.size());
  list[0] = byte0;
  list[3] = static_cast<std::uint8_t>(pattern.size());
  std::ranges::copy(pattern, list.begin() + 4);
  return list;
}
TestCommand& start_overwrite(TestLun& lun, const Bytes& list, std::uint8_t flags = kImmed) {
  lun.device.hold(true);
  return lun.start({0x48, static_cast<std::uint8_t>(kOverwrite | flags), 0, 0, 0, 0, 0, 0,
                    static_cast<std::uint8_t>(list.size()), 0},
                   list);
}
// Ends `lun`'s host as a close does, and hands what it remembered to the next one.
void replace(TestLun& lun, TestLun& next) {
  lun.unit.wind_down();
  lun.device.hold(false);
  lun.device.finish_all();
  EXPECT_EQ(lun.unit.under_way(), 0u);
  next.device.bytes = lun.device.bytes;
  next.unit.restore(lun.unit.state());
}
std::uint64_t writes(const TestLun& lun) {
  return static_cast<std::uint64_t>(std::ranges::count(lun.device.ops, OpKind::Write, &Op::kind));
}

TEST(UnitStateBytes, AreReadAsTheyWereWritten) {
  UnitState state{.capacity_changed = true, .size_bytes = 0x123456789abcde00, .config_hash = 77};
  state.job.phase = MediumRecord::Phase::Running;
  state.job.plan = {.purpose = MediumPlan::Purpose::Sanitize,
                    .method = MediumPlan::Method::Erase,
                    .passes = 31,
                    .invert = true,
                    .unrestricted_exit = true};
  state.job.passes_done = 30;
  state.job.bytes_done = 0xfedcba9876543200;
  state.job.pattern_bytes = 24;
  state.job.pattern.fill(0xa5);
  const LogicalUnit::State bytes = encode(state);
  const auto read = decode_unit_state(bytes);
  ASSERT_TRUE(read);
  EXPECT_TRUE(read->capacity_changed);
  EXPECT_EQ(read->size_bytes, state.size_bytes);
  EXPECT_EQ(read->config_hash, 77u);
  EXPECT_EQ(read->job.plan.method, MediumPlan::Method::Erase);
  EXPECT_EQ(read->job.plan.passes, 31);
  EXPECT_TRUE(read->job.plan.invert && read->job.plan.unrestricted_exit);
  EXPECT_EQ(read->job.passes_done, 30);
  EXPECT_EQ(read->job.bytes_done, state.job.bytes_done);
  EXPECT_EQ(encode(*read), bytes);
}

TEST(UnitStateBytes, WhatNoHostWritesIsRefused) {
  UnitState state;
  state.job.phase = MediumRecord::Phase::Running;
  state.job.plan.purpose = MediumPlan::Purpose::Format;
  const LogicalUnit::State good = encode(state);
  ASSERT_TRUE(decode_unit_state(good));
  EXPECT_FALSE(decode_unit_state({}));
  EXPECT_FALSE(decode_unit_state(std::span(good).first(63)));
  const auto with = [&good](std::size_t byte, std::uint8_t value) {
    LogicalUnit::State bytes = good;
    bytes[byte] = value;
    return decode_unit_state(bytes).has_value();
  };
  EXPECT_FALSE(with(0, 2));    // version
  EXPECT_FALSE(with(4, 0));    // running, with no purpose
  EXPECT_FALSE(with(4, 3));    // purpose
  EXPECT_FALSE(with(5, 0));    // idle, with a purpose
  EXPECT_FALSE(with(5, 3));    // phase
  EXPECT_FALSE(with(6, 3));    // method
  EXPECT_FALSE(with(8, 0));    // passes
  EXPECT_FALSE(with(8, 32));   // passes
  EXPECT_FALSE(with(9, 2));    // more passes done than asked for
  EXPECT_FALSE(with(10, 25));  // pattern
}

TEST(UnitState, ACapacityThatHasChangedIsReportedByTheNextHostOnce) {
  TestLun lun({.blocks = BlockCount{64}});
  lun.unit.resized({128 * 512});
  TestLun next({.blocks = BlockCount{128}});
  next.unit.restore(lun.unit.state());
  EXPECT_THAT(next.run(test_unit_ready_cdb()),
              HasSense(SenseKey::UnitAttention, asc::kCapacityDataHasChanged));
  EXPECT_TRUE(next.unit.answers_are_out());
  EXPECT_FALSE(next.unit.answers_are_out());
  TestLun third({.blocks = BlockCount{128}});
  third.unit.restore(next.unit.state());
  EXPECT_THAT(third.run(test_unit_ready_cdb()), IsGood());
}

// The command that was to tell it is replayed.
TEST(UnitState, AUnitAttentionWhoseAnswerIsNotOutIsReportedByTheNextHostToo) {
  TestLun lun({.blocks = BlockCount{64}, .config = "memory/before"});
  TestLun next({.blocks = BlockCount{128}}), third({.blocks = BlockCount{128}});
  next.unit.restore(lun.unit.state());
  for (const auto& code : {asc::kCapacityDataHasChanged, asc::kModeParametersChanged})
    EXPECT_THAT(next.run(test_unit_ready_cdb()), HasSense(SenseKey::UnitAttention, code));
  EXPECT_THAT(next.run(test_unit_ready_cdb()), IsGood());
  third.unit.restore(next.unit.state());
  for (const auto& code : {asc::kCapacityDataHasChanged, asc::kModeParametersChanged})
    EXPECT_THAT(third.run(test_unit_ready_cdb()), HasSense(SenseKey::UnitAttention, code));
}

// The host died before it could resize; the next one is opened with the new size.
TEST(UnitState, ASizeThatTheLastHostDidNotHaveIsAChange) {
  const TestLun lun({.blocks = BlockCount{64}});
  TestLun next({.blocks = BlockCount{128}});
  next.unit.restore(lun.unit.state());
  EXPECT_THAT(next.run(test_unit_ready_cdb()),
              HasSense(SenseKey::UnitAttention, asc::kCapacityDataHasChanged));
}

// D_SENSE and SWP, both to `on`.
Bytes control_list(bool on) {
  const std::uint8_t d_sense = on ? 0x06 : 0x02, swp = on ? 0x08 : 0;
  return {0, 0, 0, 0, 0x0a, 0x0a, d_sense, 0x10, swp, 0x40, 0, 0, 0xff, 0xff, 0, 0};
}
Reply select_control(TestLun& lun, bool on) {
  return lun.put(select6(16), control_list(on));
}
Bytes cache_off_and_control_list(bool on) {
  Bytes list = caching_list(false);
  const Bytes control = control_list(on);
  list.insert(list.end(), control.begin() + 4, control.end());
  return list;
}

// An initiator that has write-protected a LUN is not told that another host serves it now.
TEST(UnitState, WhatInitiatorsSetInTheControlPageStays) {
  TestLun lun;
  ASSERT_THAT(select_control(lun, true), IsGood());
  TestLun next;
  next.unit.restore(lun.unit.state());
  const Reply reply = next.put(write10(Lba{0}, BlockCount{1}), next.block_of(1));
  EXPECT_EQ(reply.sense[0], 0x72);
  EXPECT_EQ(sense_key(reply), static_cast<std::uint8_t>(SenseKey::DataProtect));
}

TEST(UnitState, WhatIsSetInTheControlPageIsRememberedWhenItsCommandIsThrough) {
  TestLun lun;
  const LogicalUnit::State before = lun.unit.state();
  lun.device.hold(true);
  const TestCommand& select = lun.start(select6(16), control_list(true));
  EXPECT_EQ(lun.unit.state(), before);
  lun.device.finish();
  EXPECT_THAT(select.reply(), IsGood());
  EXPECT_NE(lun.unit.state(), before);
  EXPECT_THAT(select_control(lun, false), IsGood()) << "there is nothing to flush for it";
  EXPECT_EQ(lun.unit.state(), before);
}

TEST(UnitState, AReplayedModeSelectThatFailsLeavesTheUnitWritable) {
  TestLun lun, next;
  lun.device.hold(true);
  lun.start(select6(16), control_list(true));
  next.unit.restore(lun.unit.state());
  lun.device.finish_all();
  next.device.fail(OpKind::Flush, IoStatus::WriteError);
  EXPECT_THAT(select_control(next, true), HasSense(SenseKey::HardwareError, asc::kWriteError));
  EXPECT_THAT(next.put(write10(Lba{0}, BlockCount{1}), next.block_of(1)), IsGood());
  EXPECT_FALSE(is_descriptor_sense(next.run({0xd0, 0, 0, 0, 0, 0, 0, 0, 0, 0})));
}

// The second one's zeroes were there when the first one ended.
TEST(UnitState, AModeSelectThatFailsLeavesWhatOneBeforeItHasSetRemembered) {
  TestLun lun, next;
  lun.device.hold(true);
  const TestCommand& first = lun.start(select6(16), control_list(true));
  const Bytes list = cache_off_and_control_list(false);
  const TestCommand& second = lun.start(select6(list.size()), list);
  lun.device.finish();
  EXPECT_THAT(first.reply(), IsGood());
  lun.device.finish(0, IoStatus::Busy);
  EXPECT_THAT(second.reply(), IsBusy());
  next.unit.restore(lun.unit.state());
  const Reply reply = next.put(write10(Lba{0}, BlockCount{1}), next.block_of(1));
  EXPECT_TRUE(is_descriptor_sense(reply));
  EXPECT_THAT(reply, HasSense(SenseKey::DataProtect, asc::kWriteProtected));
}

TEST(UnitState, AResetIsRememberedAtOnce) {
  TestLun lun;
  const LogicalUnit::State before = lun.unit.state();
  EXPECT_THAT(select_control(lun, true), IsGood());
  lun.unit.reset();
  EXPECT_EQ(lun.unit.state(), before);
}

TEST(UnitState, NothingToRememberAndNonsenseChangeNothing) {
  TestLun lun;
  lun.unit.restore({});
  EXPECT_TRUE(lun.services.lines.empty());
  const Bytes nonsense(64, 0xff);
  lun.unit.restore(nonsense);
  EXPECT_THAT(lun.services.lines, Contains(HasSubstr("can't be read")));
  EXPECT_THAT(lun.run(test_unit_ready_cdb()), IsGood());
}

TEST(UnitState, ASanitizeIsToldBeforeItsFirstWriteIsOver) {
  TestLun lun;
  const LogicalUnit::State before = lun.unit.state();
  start_overwrite(lun, pattern_list(1, {1}));
  EXPECT_NE(lun.unit.state(), before);
  lun.device.hold(false);
  lun.device.finish_all();
  EXPECT_EQ(lun.unit.state(), before);
}

TEST(UnitState, ASanitizeGoesOnInTheNextHostFromWhatIsOnTheDisk) {
  TestLun lun({.blocks = kThreeWindows});
  start_overwrite(lun, pattern_list(1, {1, 2, 3}));
  for (int i = 0; i < 700; ++i) lun.device.finish();  // 512 writes, a flush, and some of the second window
  TestLun next({.blocks = kThreeWindows});
  next.device.hold(true);
  replace(lun, next);
  EXPECT_THAT(next.run(test_unit_ready_cdb()), HasSense(SenseKey::NotReady, asc::kSanitizeInProgress));
  EXPECT_EQ(next.device.held_op(0), (Op{OpKind::Write, 64 * kMebibyte, 128 * 1024}));
  next.device.hold(false);
  next.device.finish_all();
  EXPECT_THAT(next.run(test_unit_ready_cdb()), IsGood());
  EXPECT_EQ(writes(next), 96 * kMebibyte / (128 * 1024));
  Bytes block(512);
  for (std::size_t i = 0; i < block.size(); ++i) block[i] = static_cast<std::uint8_t>(1 + i % 3);
  for (std::uint64_t lba = 0; lba < kThreeWindows.value; lba += 1023)
    ASSERT_EQ(next.medium(Lba{lba}, BlockCount{1}), block) << lba;
}

TEST(UnitState, WhoWaitsForASanitizeIsToldThatItIsNotOver) {
  TestLun lun({.blocks = kThreeWindows});
  TestCommand& command = start_overwrite(lun, pattern_list(1, {1}), 0);
  TestLun next({.blocks = kThreeWindows});
  replace(lun, next);
  EXPECT_THAT(command.reply(), HasSense(SenseKey::NotReady, asc::kSanitizeInProgress));
  EXPECT_THAT(lun.run(test_unit_ready_cdb()), HasSense(SenseKey::NotReady, asc::kSanitizeInProgress));
  EXPECT_THAT(next.run(test_unit_ready_cdb()), IsGood());
}

// Rather than with another pattern than the initiator asked for.
TEST(UnitState, ASanitizeWithAPatternTooLongToRememberFails) {
  TestLun lun({.blocks = kThreeWindows});
  Bytes pattern(25);
  pattern.back() = 1;
  start_overwrite(lun, pattern_list(1, pattern));
  TestLun next({.blocks = kThreeWindows});
  replace(lun, next);
  EXPECT_THAT(next.run(test_unit_ready_cdb()), HasSense(SenseKey::MediumError, asc::kSanitizeFailed));
  EXPECT_EQ(writes(next), 0u);
}

TEST(UnitState, ALongPatternThatRepeatsItselfIsRemembered) {
  TestLun lun({.blocks = kThreeWindows});
  start_overwrite(lun, pattern_list(1, Bytes(200, 0xaa)));
  TestLun next({.blocks = kThreeWindows});
  replace(lun, next);
  EXPECT_THAT(next.run(test_unit_ready_cdb()), IsGood());
  EXPECT_EQ(next.medium(Lba{7}, BlockCount{1}), Bytes(512, 0xaa));
}

// An administrator gave the LUN another image meanwhile.
TEST(UnitState, ASanitizeDoesNotGoOnWithAnotherMedium) {
  TestLun lun({.blocks = kThreeWindows});
  start_overwrite(lun, pattern_list(1, {1}));
  TestLun next({.blocks = kThreeWindows, .config = "memory/other"});
  replace(lun, next);
  EXPECT_THAT(next.run(test_unit_ready_cdb()),
              HasSense(SenseKey::UnitAttention, asc::kModeParametersChanged));
  EXPECT_THAT(next.run(test_unit_ready_cdb()), HasSense(SenseKey::MediumError, asc::kSanitizeFailed));
  EXPECT_EQ(writes(next), 0u);
}

TEST(UnitState, AFailedSanitizeStaysFailed) {
  TestLun lun;
  lun.device.fail(OpKind::Flush, IoStatus::WriteError);
  start_overwrite(lun, pattern_list(1, {1}));
  lun.device.hold(false);
  lun.device.finish_all();
  TestLun next;
  next.unit.restore(lun.unit.state());
  EXPECT_THAT(next.run(test_unit_ready_cdb()), HasSense(SenseKey::MediumError, asc::kSanitizeFailed));
  EXPECT_EQ(next.unit.under_way(), 0u);
}

}  // namespace
}  // namespace bulkhead::scsi
