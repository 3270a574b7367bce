#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "handler-host/scsi/copy/copy_list.h"
#include "handler-host/scsi/testing/copy_lists.h"
#include "handler-host/scsi/testing/test_lun.h"

namespace bulkhead::scsi {
namespace {

using namespace testing;
using handler::Durability;
using handler::IoStatus;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr int kCscdAt = 16;
constexpr int kSegmentAt = 16 + 32;

// Blocks of 1, 2, 3, ...
void number_blocks(TestLun& lun, std::uint64_t first, std::uint64_t count) {
  for (std::uint64_t i = 0; i < count; ++i)
    lun.fill(Lba{first + i}, BlockCount{1}, static_cast<std::uint8_t>(i + 1));
}
Bytes numbered(const TestLun& lun, std::uint64_t count) {
  Bytes bytes;
  for (std::uint64_t i = 0; i < count; ++i)
    bytes.insert(bytes.end(), lun.shape.block_bytes, static_cast<std::uint8_t>(i + 1));
  return bytes;
}
Reply put_lid4(TestLun& lun, const Bytes& list) {
  return lun.put(extended_copy_cdb(static_cast<std::uint32_t>(list.size()), kLid4), list);
}

TEST(ExtendedCopy, CopiesBlocksWithinTheUnit) {
  TestLun lun;
  number_blocks(lun, 0, 8);
  EXPECT_THAT(copy_now(lun, {.segments = {segment(Lba{0}, Lba{32}, 8)}}), IsGood());
  EXPECT_EQ(lun.medium(Lba{32}, BlockCount{8}), numbered(lun, 8));
  EXPECT_EQ(lun.medium(Lba{0}, BlockCount{8}), numbered(lun, 8));
  EXPECT_EQ(lun.medium(Lba{40}, BlockCount{1}), lun.block_of(0));
  EXPECT_THAT(lun.device.ops,
              ElementsAre(Op{OpKind::Read, 0, 4096}, Op{OpKind::Write, 32 * 512, 4096, Durability::Cached}));
}

// VAAI "full copy" of ESXi: EXTENDED COPY(LID1), list identifier usage 10b, source and destination named
// twice by the NAA designator of VPD 83h, 4 MiB.
TEST(ExtendedCopy, ServesWhatEsxiSends) {
  TestLun lun({.blocks = BlockCount{32768}});
  number_blocks(lun, 0, 8192);
  const Bytes naa = lun.get(vpd(0x83)).data;
  Bytes named = cscd();
  std::copy_n(&naa[4 + 4 + 45 + 4], 16, &named[8]);
  Bytes full = segment(Lba{0}, Lba{16384}, 8192);
  store(full, 6, 2, 1);  // destination: the second descriptor
  EXPECT_THAT(copy_now(lun, {.id = 0x17, .usage = 2, .cscds = {named, named}, .segments = {full}}), IsGood());
  EXPECT_EQ(lun.medium(Lba{16384}, BlockCount{8192}), numbered(lun, 8192));
}

TEST(ExtendedCopy, DoesItsSegmentsInOrderEachSeeingWhatTheOneBeforeCopied) {
  TestLun lun;
  number_blocks(lun, 0, 2);
  EXPECT_THAT(copy_now(lun, {.segments = {segment(Lba{0}, Lba{10}, 2), segment(Lba{20}, Lba{0}, 2),
                                          segment(Lba{10}, Lba{30}, 2)}}),
              IsGood());
  EXPECT_EQ(lun.medium(Lba{30}, BlockCount{2}), numbered(lun, 2));
  EXPECT_EQ(lun.medium(Lba{0}, BlockCount{2}), Bytes(1024, 0));
}

TEST(ExtendedCopy, GoesPieceByPieceThroughItsBuffer) {
  TestLun lun({.blocks = BlockCount{4096}});
  number_blocks(lun, 0, 1025);
  EXPECT_THAT(copy_now(lun, {.segments = {segment(Lba{0}, Lba{2000}, 1025)}}), IsGood());
  EXPECT_EQ(lun.medium(Lba{2000}, BlockCount{1025}), numbered(lun, 1025));
  EXPECT_THAT(lun.device.ops, SizeIs(4));
}

// As if all of it were read before any of it is written, in either direction and also beyond one buffer.
TEST(ExtendedCopy, OverlappingRangesComeOutAsACopyOfWhatWasThere) {
  for (const auto& [from, to] : {std::pair{10u, 13u}, std::pair{13u, 10u}, std::pair{10u, 10u}}) {
    TestLun lun({.blocks = BlockCount{4096}});
    number_blocks(lun, from, 3000);
    EXPECT_THAT(copy_now(lun, {.segments = {segment(Lba{from}, Lba{to}, 3000)}}), IsGood());
    EXPECT_EQ(lun.medium(Lba{to}, BlockCount{3000}), numbered(lun, 3000)) << from << " to " << to;
  }
}

TEST(ExtendedCopy, WithOffsetsCountsBytesAndMovesByWholeBlocks) {
  TestLun lun;
  number_blocks(lun, 1, 4);
  Bytes shifted = offset_segment(Lba{0}, Lba{30}, 4 * 512);
  store(shifted, 28, 2, 512);   // source
  store(shifted, 30, 2, 1024);  // destination
  EXPECT_THAT(copy_now(lun, {.segments = {shifted}}), IsGood());
  EXPECT_EQ(lun.medium(Lba{32}, BlockCount{4}), numbered(lun, 4));
  EXPECT_EQ(lun.medium(Lba{31}, BlockCount{1}), lun.block_of(0));
}

TEST(ExtendedCopy, PartsOfBlocksAreAGranularityViolation) {
  TestLun lun;
  for (const std::size_t field : {8u, 28u, 30u}) {
    Bytes odd = offset_segment(Lba{0}, Lba{30}, 512);
    store(odd, field, field == 8 ? 4 : 2, 100);
    const Reply reply = copy_now(lun, {.segments = {odd}});
    EXPECT_THAT(reply, IsCopyAborted(asc::kSegmentGranularityViolation, 0)) << field;
    EXPECT_THAT(reply, PointsAtList(kSegmentAt + 8));
  }
  EXPECT_THAT(lun.device.ops, IsEmpty());
}

TEST(ExtendedCopy, Lid4CopiesToo) {
  TestLun lun;
  number_blocks(lun, 0, 8);
  EXPECT_THAT(put_lid4(lun, lid4_list({.id = 0x12345678, .segments = {segment(Lba{0}, Lba{32}, 8)}})),
              IsGood());
  EXPECT_EQ(lun.medium(Lba{32}, BlockCount{8}), numbered(lun, 8));
}

TEST(ExtendedCopy, CscdIdFfffIsTheUnitThatGotTheCommand) {
  TestLun lun;
  lun.identity.identity = Identity{};
  number_blocks(lun, 0, 1);
  Bytes own = segment(Lba{0}, Lba{1}, 1);
  store(own, 4, 4, 0xffffffff);
  EXPECT_THAT(copy_now(lun, {.cscds = {}, .segments = {own}}), IsGood());
  EXPECT_EQ(lun.medium(Lba{1}, BlockCount{1}), lun.block_of(1));
}

TEST(ExtendedCopy, AShortT10DesignatorNamesTheUnitToo) {
  TestLun lun;
  lun.identity.identity = Identity{"disk-0007", "ACME", {}, {}};
  Bytes t10 = cscd();
  t10[4] = 2;
  t10[5] = 1;
  const std::string_view text("ACME    disk-0007\0", 18);
  std::ranges::copy(text, t10.begin() + 8);
  t10[7] = static_cast<std::uint8_t>(text.size());
  EXPECT_THAT(copy_now(lun, {.cscds = {t10}, .segments = {segment(Lba{0}, Lba{8}, 1)}}), IsGood());
  t10[8] = 'B';
  EXPECT_THAT(copy_now(lun, {.cscds = {t10}, .segments = {segment(Lba{0}, Lba{8}, 1)}}),
              IsCopyAborted(asc::kCopyTargetNotReachable, 0));
}

TEST(ExtendedCopy, NothingToDoIsGood) {
  TestLun lun;
  EXPECT_THAT(lun.put(extended_copy_cdb(0)), IsGood());
  EXPECT_THAT(copy_now(lun, {.cscds = {}}), IsGood());
  EXPECT_THAT(copy_now(lun, {}), IsGood());
  EXPECT_THAT(copy_now(lun, {.segments = {segment(Lba{0}, Lba{8}, 0)}}), IsGood());
  EXPECT_THAT(lun.device.ops, IsEmpty());
}

// CVE-2021-3139: tcmu-runner looked through all LUNs of the machine, whoever had exported them to whom.
TEST(ExtendedCopy, AnotherUnitIsNotReachable) {
  TestLun lun;
  const Bytes other = cscd("00000000-3bde-4b37-a6a7-c9f5f8a0e2d1");
  for (const int foreign : {0, 1}) {
    Bytes across = segment(Lba{0}, Lba{8}, 1);
    store(across, 6, 2, 1);
    const Reply reply =
        copy_now(lun, {.cscds = foreign == 0 ? std::vector{other, cscd()} : std::vector{cscd(), other},
                       .segments = {across}});
    EXPECT_THAT(reply, IsCopyAborted(asc::kCopyTargetNotReachable, 0));
    EXPECT_THAT(reply, PointsAtList(kSegmentAt + 32 + 4 + 2 * foreign));
  }
  EXPECT_THAT(lun.device.ops, IsEmpty());
}

TEST(ExtendedCopy, AUnitWithoutASerialIsNamedByNoDesignator) {
  TestLun lun;
  lun.identity.identity = Identity{};
  EXPECT_THAT(copy_now(lun, {.cscds = {cscd("")}, .segments = {segment(Lba{0}, Lba{8}, 1)}}),
              IsCopyAborted(asc::kCopyTargetNotReachable, 0));
}

TEST(ExtendedCopy, ADesignatorOfAPortOrATargetIsNotTheUnits) {
  TestLun lun;
  Bytes port = cscd();
  port[5] = 0x13;
  EXPECT_THAT(copy_now(lun, {.cscds = {port}, .segments = {segment(Lba{0}, Lba{8}, 1)}}),
              IsCopyAborted(asc::kCopyTargetNotReachable, 0));
}

TEST(ExtendedCopy, ANullDeviceIsNotReachable) {
  TestLun lun;
  Bytes null = cscd();
  null[1] = 0x20;
  EXPECT_THAT(copy_now(lun, {.cscds = {null}, .segments = {segment(Lba{0}, Lba{8}, 1)}}),
              IsCopyAborted(asc::kCopyTargetNotReachable, 0));
}

TEST(ExtendedCopy, AnotherDeviceTypeIsIncorrect) {
  TestLun lun;
  Bytes tape = cscd();
  tape[1] = 0x01;
  EXPECT_THAT(copy_now(lun, {.cscds = {tape}, .segments = {segment(Lba{0}, Lba{8}, 1)}}),
              IsCopyAborted(asc::kIncorrectCopyTargetType, 0));
}

// SPC-4; iscsi-test-cu ValidTgtDescr.
TEST(ExtendedCopy, TheLuIdTypeIsIgnored) {
  TestLun lun;
  Bytes reserved = cscd();
  reserved[1] = 0xc0;
  EXPECT_THAT(copy_now(lun, {.cscds = {reserved}, .segments = {segment(Lba{0}, Lba{8}, 1)}}), IsGood());
}

TEST(ExtendedCopy, AWrongBlockLengthIsRefusedAndNoneIsTaken) {
  TestLun lun;
  const Reply reply = copy_now(lun, {.cscds = {cscd("5cf01f8a-3bde-4b37-a6a7-c9f5f8a0e2d1", 4096)},
                                     .segments = {segment(Lba{0}, Lba{8}, 1)}});
  EXPECT_THAT(reply, HasSense(SenseKey::IllegalRequest, asc::kInvalidFieldInParameterList));
  EXPECT_THAT(reply, PointsAtList(kCscdAt + 29));
  EXPECT_THAT(copy_now(lun, {.cscds = {cscd("5cf01f8a-3bde-4b37-a6a7-c9f5f8a0e2d1", 0)},
                             .segments = {segment(Lba{0}, Lba{8}, 1)}}),
              IsGood());
}

// iscsi-test-cu ValidSegDescr.
TEST(ExtendedCopy, AnIndexWithoutADescriptorIsUnreachable) {
  TestLun lun;
  Bytes beyond = segment(Lba{0}, Lba{8}, 1);
  store(beyond, 6, 2, 1);
  const Reply reply = copy_now(lun, {.segments = {beyond}});
  EXPECT_THAT(reply, IsCopyAborted(asc::kUnreachableCopyTarget, 0));
  EXPECT_THAT(reply, PointsAtList(kSegmentAt + 6));
}

TEST(ExtendedCopy, PastTheLastBlockIsAbortedWithWhatTheUnitSays) {
  TestLun lun({.blocks = BlockCount{64}});
  const auto out_of_range = [](std::size_t side) {
    return IsCopyAbortedBy(side, SenseKey::IllegalRequest, asc::kLbaOutOfRange, 0);
  };
  Reply reply = copy_now(lun, {.segments = {segment(Lba{0}, Lba{63}, 2)}});
  EXPECT_THAT(reply, out_of_range(kDestination));
  EXPECT_THAT(reply, PointsAtList(kSegmentAt + 20));
  reply = copy_now(lun, {.segments = {segment(Lba{63}, Lba{0}, 2)}});
  EXPECT_THAT(reply, out_of_range(kSource));
  EXPECT_THAT(reply, PointsAtList(kSegmentAt + 12));
  EXPECT_THAT(copy_now(lun, {.segments = {segment(Lba{~std::uint64_t{0}}, Lba{0}, 2)}}),
              out_of_range(kSource));
  Bytes wraps = offset_segment(Lba{~std::uint64_t{0}}, Lba{0}, 512);
  store(wraps, 28, 2, 512);
  EXPECT_THAT(copy_now(lun, {.segments = {wraps}}), out_of_range(kSource));
  EXPECT_THAT(lun.device.ops, IsEmpty());
}

// COPY ABORTED in segment 1 would say that segment 0 was copied.
TEST(ExtendedCopy, ABadLaterSegmentRefusesAllOfThemBeforeAnythingMoves) {
  TestLun lun({.blocks = BlockCount{64}});
  Reply reply = copy_now(lun, {.segments = {segment(Lba{0}, Lba{8}, 1), segment(Lba{0}, Lba{64}, 1)}});
  EXPECT_THAT(reply, HasSense(SenseKey::IllegalRequest, asc::kLbaOutOfRange));
  EXPECT_THAT(reply, PointsAtList(kSegmentAt + 28 + 20));
  Bytes beyond = segment(Lba{0}, Lba{8}, 1);
  store(beyond, 4, 2, 1);
  reply = copy_now(lun, {.segments = {segment(Lba{0}, Lba{8}, 1), beyond}});
  EXPECT_THAT(reply, HasSense(SenseKey::IllegalRequest, asc::kInvalidFieldInParameterList));
  EXPECT_THAT(reply, PointsAtList(kSegmentAt + 28 + 4));
  EXPECT_THAT(lun.device.ops, IsEmpty());
}

TEST(ExtendedCopy, AFailureTellsSegmentSideAndWhatTheUnitSaid) {
  TestLun lun;
  lun.device.hold(true);
  const Bytes list = lid1_list({.segments = {segment(Lba{0}, Lba{8}, 1), segment(Lba{1}, Lba{9}, 1)}});
  TestCommand& command = lun.start(extended_copy_cdb(static_cast<std::uint32_t>(list.size())), list);
  lun.device.finish();
  lun.device.finish();
  lun.device.finish(0, IoStatus::ReadError);
  EXPECT_THAT(command.reply(),
              IsCopyAbortedBy(kSource, SenseKey::MediumError, asc::kUnrecoveredReadError, 1));
  ASSERT_THAT(lun.services.lines, SizeIs(1));
  EXPECT_THAT(lun.services.lines[0],
              ::testing::HasSubstr("COPY ABORTED, NO ADDITIONAL SENSE INFORMATION (a/00/00), parameter list "
                                   "byte 80, segment 1; from the source: MEDIUM ERROR, UNRECOVERED READ"));

  TestLun full;
  full.device.fail(OpKind::Write, IoStatus::NoSpace);
  EXPECT_THAT(copy_now(full, {.segments = {segment(Lba{0}, Lba{8}, 1)}}),
              IsCopyAbortedBy(kDestination, SenseKey::DataProtect, asc::kSpaceAllocationFailed, 0));
}

// BUSY makes the initiator repeat the whole command, which would copy what it has overwritten itself.
TEST(ExtendedCopy, IsBusyOnlyBeforeItsFirstWrite) {
  TestLun lun({.blocks = BlockCount{4096}});
  const Bytes list = lid1_list({.segments = {segment(Lba{0}, Lba{1}, 2000)}});
  const Bytes cdb = extended_copy_cdb(static_cast<std::uint32_t>(list.size()));
  lun.device.fail(OpKind::Write, IoStatus::Busy);
  EXPECT_THAT(lun.put(cdb, list), IsBusy());

  lun.device.fail(OpKind::Write, IoStatus::Ok);
  lun.device.hold(true);
  TestCommand& command = lun.start(cdb, list);
  lun.device.finish();
  lun.device.finish();
  lun.device.finish(0, IoStatus::Busy);
  EXPECT_THAT(command.reply(), IsCopyAborted(asc::kThirdPartyDeviceFailure, 0));
}

TEST(ExtendedCopy, IsRefusedByAReadOnlyDevice) {
  TestLun lun({.geometry = read_only()});
  EXPECT_THAT(copy_now(lun, {.segments = {segment(Lba{0}, Lba{8}, 1)}}),
              HasSense(SenseKey::DataProtect, asc::kWriteProtected));
}

TEST(ExtendedCopy, IsBusyAsLongAsTheIdentityCanNotBeHad) {
  TestLun lun;
  lun.identity.identity = fail(Cause::TimedOut, ETIMEDOUT, "no answer");
  EXPECT_THAT(copy_now(lun, {.segments = {segment(Lba{0}, Lba{8}, 1)}}), IsBusy());
}

TEST(ExtendedCopy, IsDurableWhileTheCacheIsOff) {
  TestLun lun;
  lun.switch_cache_off();
  copy_now(lun, {.segments = {segment(Lba{0}, Lba{8}, 1)}});
  EXPECT_THAT(lun.device.ops,
              ElementsAre(Op{OpKind::Read, 0, 512}, Op{OpKind::Write, 8 * 512, 512, Durability::Durable}));
}

TEST(ExtendedCopy, KeepsAllItsDestinationsUntilItIsAnswered) {
  TestLun lun;
  lun.device.hold(true);
  const Bytes list = lid1_list({.segments = {segment(Lba{0}, Lba{30}, 1), segment(Lba{1}, Lba{20}, 1)}});
  TestCommand& copy = lun.start(extended_copy_cdb(static_cast<std::uint32_t>(list.size())), list);
  TestCommand& between = lun.start(write10(Lba{25}, BlockCount{1}), lun.block_of(1));
  TestCommand& source = lun.start(write10(Lba{5}, BlockCount{1}), lun.block_of(2));
  EXPECT_EQ(lun.device.held(), 2u);  // the first read, and the write that has nothing to do with it
  lun.device.finish_all();
  EXPECT_THAT(lun.answered, ElementsAre(&source, &copy, &between));
}

TEST(ExtendedCopy, TwoCopiesAtOnceDoNotMixAndStopNobodyElse) {
  TestLun lun({.blocks = BlockCount{8192}});
  lun.fill(Lba{0}, BlockCount{1100}, 1);
  lun.fill(Lba{2000}, BlockCount{1100}, 2);
  lun.device.hold(true);
  const Bytes one = lid1_list({.id = 1, .segments = {segment(Lba{0}, Lba{4000}, 1100)}});
  const Bytes two = lid1_list({.id = 2, .segments = {segment(Lba{2000}, Lba{6000}, 1100)}});
  lun.start(extended_copy_cdb(static_cast<std::uint32_t>(one.size())), one);
  lun.start(extended_copy_cdb(static_cast<std::uint32_t>(two.size())), two);
  TestCommand& pattern = lun.start(write_same10(Lba{8000}, BlockCount{2}), lun.block_of(3));
  EXPECT_EQ(lun.device.held(), 2u);
  lun.device.finish(1);
  EXPECT_THAT(pattern.reply(), IsGood());
  lun.device.finish_all();
  EXPECT_EQ(lun.medium(Lba{4000}, BlockCount{1100}), Bytes(1100 * 512, 1));
  EXPECT_EQ(lun.medium(Lba{6000}, BlockCount{1100}), Bytes(1100 * 512, 2));
}

TEST(ExtendedCopy, ADeviceThatShrinksMeanwhileEndsIt) {
  TestLun lun({.blocks = BlockCount{64}});
  lun.device.hold(true);
  const Bytes list = lid1_list({.segments = {segment(Lba{0}, Lba{60}, 2)}});
  TestCommand& command = lun.start(extended_copy_cdb(static_cast<std::uint32_t>(list.size())), list);
  lun.unit.resized(ByteCount{32 * 512});
  lun.device.finish();
  EXPECT_THAT(command.reply(),
              IsCopyAbortedBy(kDestination, SenseKey::IllegalRequest, asc::kLbaOutOfRange, 0));
  EXPECT_THAT(lun.device.ops, SizeIs(1));
}

}  // namespace
}  // namespace bulkhead::scsi
