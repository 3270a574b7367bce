// Copies by token, as Windows offloads them (ODX).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <string>
#include <thread>

#include "handler-host/scsi/copy/copy_results.h"
#include "handler-host/scsi/testing/copy_lists.h"
#include "handler-host/scsi/testing/test_lun.h"

namespace bulkhead::scsi {
namespace {

using namespace testing;
using namespace std::chrono_literals;
using handler::IoStatus;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr std::uint8_t kTokenInformation = 0x07;
constexpr std::uint8_t kAllTokens = 0x08;
constexpr std::uint32_t kId = 0x11223344;

Reply populate(TestLun& lun, const Bytes& list, std::uint32_t id = kId) {
  return lun.put(token_cdb(kPopulate, id, list.size()), list);
}
Bytes token_information(TestLun& lun, std::uint32_t id = kId) {
  return lun.get(receive_copy4(kTokenInformation, id)).data;
}
// As Windows gets one.
Bytes token_for(TestLun& lun, const Ranges& ranges, std::uint32_t id = kId, std::uint32_t timeout = 0) {
  EXPECT_THAT(populate(lun, populate_list(ranges, timeout), id), IsGood());
  const Bytes data = token_information(lun, id);
  EXPECT_EQ(data.size(), 32u + 4 + 2 + 512);
  return Bytes(data.end() - 512, data.end());
}
Reply write_using(TestLun& lun, const Bytes& list, std::uint32_t id = kId) {
  return lun.put(token_cdb(kWriteUsing, id, list.size()), list);
}

TEST(Offload, WindowsCopiesAFileOfTwoExtents) {
  TestLun lun({.blocks = BlockCount{8192}});
  lun.fill(Lba{100}, BlockCount{1500}, 1);
  lun.fill(Lba{3000}, BlockCount{10}, 2);
  const Bytes token = token_for(lun, {{100, 1500}, {3000, 10}});
  EXPECT_THAT(write_using(lun, write_using_list(token, {{5000, 10}, {6000, 1500}}), 7), IsGood());
  EXPECT_EQ(lun.medium(Lba{5000}, BlockCount{10}), Bytes(10 * 512, 1));
  EXPECT_EQ(lun.medium(Lba{6000}, BlockCount{1490}), Bytes(1490 * 512, 1));
  EXPECT_EQ(lun.medium(Lba{7490}, BlockCount{10}), Bytes(10 * 512, 2));
  EXPECT_EQ(lun.medium(Lba{7500}, BlockCount{1}), lun.block_of(0));

  const Bytes data = token_information(lun, 7);
  ASSERT_EQ(data.size(), 36u);
  EXPECT_EQ(data[4], kWriteUsing);
  EXPECT_EQ(data[5], 0x01);  // completed
  EXPECT_EQ(data[15], 0xf1);
  EXPECT_EQ(load(data, 16, 8), 1510u);
}

TEST(Offload, ATokenIsUsedFromAnOffsetAndMoreThanOnce) {
  TestLun lun;
  lun.fill(Lba{4}, BlockCount{1}, 7);
  const Bytes token = token_for(lun, {{0, 8}});
  EXPECT_THAT(write_using(lun, write_using_list(token, {{20, 2}}, 4)), IsGood());
  EXPECT_THAT(write_using(lun, write_using_list(token, {{30, 1}}, 4)), IsGood());
  EXPECT_EQ(lun.medium(Lba{20}, BlockCount{1}), lun.block_of(7));
  EXPECT_EQ(lun.medium(Lba{21}, BlockCount{1}), lun.block_of(0));
  EXPECT_EQ(lun.medium(Lba{30}, BlockCount{1}), lun.block_of(7));
}

TEST(Offload, CommandsThatWereAbortedWhileTheyWaitedLeaveTheirRoom) {
  TestLun lun;
  const Bytes token = token_for(lun, {{0, 8}});
  const Bytes use = write_using_list(token, {{20, 8}}), make = populate_list({{20, 8}});
  lun.device.hold(true);
  const TestCommand& first = lun.start(token_cdb(kWriteUsing, 1, use.size()), use);
  for (std::uint32_t id = 100; id < 100 + 2 * CopyResults::kCapacity; ++id) {
    EXPECT_TRUE(lun.unit.abort(lun.start(token_cdb(kWriteUsing, id, use.size()), use)));
    EXPECT_TRUE(lun.unit.abort(lun.start(token_cdb(kPopulate, id, make.size()), make)));
  }
  lun.device.finish_all();
  EXPECT_THAT(first.reply(), IsGood());
  lun.device.hold(false);
  // Each takes the place of another in the end, so none is in use any more.
  for (std::size_t i = 0; i <= RodTokens::kCapacity; ++i)
    EXPECT_THAT(populate(lun, populate_list({{0, 8}})), IsGood());
}

TEST(PopulateToken, MakesATokenOfTheStandardsForm) {
  TestLun lun;
  const Bytes token = token_for(lun, {{0, 8}});
  EXPECT_EQ(load(token, 0, 4), 0x00800001u);
  EXPECT_EQ(load(token, 6, 2), 0x01f8u);
  const Bytes creator(token.begin() + 16, token.begin() + 48);
  EXPECT_EQ(creator, cscd());
  EXPECT_EQ(load(token, 56, 8), 8 * 512u);
  const Bytes other = token_for(lun, {{0, 8}}, 2);
  EXPECT_NE(Bytes(token.begin() + 128, token.end()), Bytes(other.begin() + 128, other.end()));
}

TEST(PopulateToken, ReadsAndWritesNothing) {
  TestLun lun({.geometry = read_only()});
  token_for(lun, {{0, 8}});
  EXPECT_THAT(lun.device.ops, IsEmpty());
}

// Whatever was begun before the token is in it.
TEST(PopulateToken, WaitsForWritesUnderWay) {
  TestLun lun;
  lun.device.hold(true);
  TestCommand& write = lun.start(write10(Lba{4}, BlockCount{1}), lun.block_of(7));
  const Bytes list = populate_list({{0, 8}});
  TestCommand& command = lun.start(token_cdb(kPopulate, kId, list.size()), list);
  EXPECT_FALSE(command.answered());
  lun.device.finish_all();
  EXPECT_THAT(lun.answered, ElementsAre(&write, &command));
  lun.device.hold(false);
  const Bytes data = token_information(lun);
  EXPECT_THAT(write_using(lun, write_using_list(Bytes(data.end() - 512, data.end()), {{20, 8}})), IsGood());
  EXPECT_EQ(lun.medium(Lba{24}, BlockCount{1}), lun.block_of(7));
}

struct Change {
  std::string what;
  std::function<Reply(TestLun&)> make;
};
class OffloadAfter : public ::testing::TestWithParam<Change> {};

TEST_P(OffloadAfter, IsATokenThatIsRevoked) {
  TestLun lun({.geometry = thin()});
  const Bytes token = token_for(lun, {{0, 8}, {16, 8}});
  EXPECT_THAT(lun.put(write10(Lba{8}, BlockCount{8}), Bytes(8 * 512, 1)), IsGood());  // elsewhere
  EXPECT_THAT(write_using(lun, write_using_list(token, {{40, 16}})), IsGood());
  EXPECT_THAT(GetParam().make(lun), IsGood());
  lun.device.ops.clear();
  const Reply reply = write_using(lun, write_using_list(token, {{40, 16}}));
  EXPECT_THAT(reply, HasSense(SenseKey::IllegalRequest, asc::kTokenRevoked));
  EXPECT_THAT(reply, PointsAtList(16));
  EXPECT_THAT(lun.device.ops, IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(
    Changes, OffloadAfter,
    ::testing::Values(
        Change{"AWrite",
               [](TestLun& lun) { return lun.put(write10(Lba{23}, BlockCount{1}), lun.block_of(1)); }},
        Change{"APattern",
               [](TestLun& lun) { return lun.put(write_same10(Lba{7}, BlockCount{1}), lun.block_of(1)); }},
        Change{"Zeroes", [](TestLun& lun) { return lun.put(write_same16(Lba{7}, BlockCount{1}, 1)); }},
        Change{"AnUnmap",
               [](TestLun& lun) {
                 const Bytes list = unmap_list({{16, 1}});
                 return lun.put(unmap_cdb(list.size()), list);
               }},
        Change{"ACopy",
               [](TestLun& lun) { return copy_now(lun, {.segments = {segment(Lba{30}, Lba{0}, 1)}}); }},
        Change{"ATokenWritten",
               [](TestLun& lun) { return write_using(lun, write_using_list(zero_token(), {{16, 1}}), 99); }}),
    [](const auto& tested) { return tested.param.what; });

TEST(Offload, AWriteThatFailedMayHaveChangedSomethingToo) {
  TestLun lun;
  const Bytes token = token_for(lun, {{0, 8}});
  lun.device.fail(OpKind::Write, IoStatus::WriteError);
  lun.put(write10(Lba{0}, BlockCount{1}), lun.block_of(1));
  lun.device.fail(OpKind::Write, IoStatus::Ok);
  EXPECT_THAT(write_using(lun, write_using_list(token, {{40, 8}})),
              HasSense(SenseKey::IllegalRequest, asc::kTokenRevoked));
}

// Not one block of what came later gets into the copy.
TEST(WriteUsingToken, EndsWhereItsSourceIsChangedUnderWay) {
  TestLun lun({.blocks = BlockCount{8192}});
  lun.fill(Lba{0}, BlockCount{2048}, 1);
  const Bytes token = token_for(lun, {{0, 2048}});
  lun.device.hold(true);
  const Bytes list = write_using_list(token, {{4096, 2048}});
  TestCommand& command = lun.start(token_cdb(kWriteUsing, 7, list.size()), list);
  lun.device.finish();
  lun.device.finish();  // 1024 blocks are copied, the next are being read
  TestCommand& change = lun.start(write10(Lba{2047}, BlockCount{1}), lun.block_of(9));
  lun.device.finish(1);
  EXPECT_THAT(change.reply(), IsGood());
  lun.device.finish_all();
  EXPECT_THAT(command.reply(), HasSense(SenseKey::IllegalRequest, asc::kTokenRevoked));
  EXPECT_EQ(lun.medium(Lba{4096}, BlockCount{1024}), Bytes(1024 * 512, 1));
  EXPECT_EQ(lun.medium(Lba{5120}, BlockCount{1024}), Bytes(1024 * 512, 0));
  lun.device.hold(false);
  const Bytes data = token_information(lun, 7);
  EXPECT_EQ(data[5], 0x02);  // with errors
  EXPECT_EQ(load(data, 16, 8), 1024u);
  EXPECT_EQ(data[13], 18);  // sense data
}

TEST(Offload, ATokenIsRevokedByAResize) {
  TestLun lun;
  const Bytes token = token_for(lun, {{0, 8}});
  lun.unit.resized(ByteCount{32 * 512});
  lun.run(test_unit_ready_cdb());  // takes the unit attention
  EXPECT_THAT(write_using(lun, write_using_list(token, {{20, 8}})),
              HasSense(SenseKey::IllegalRequest, asc::kTokenRevoked));
}

TEST(Offload, ATokenExpires) {
  TestLun lun;
  const Bytes token = token_for(lun, {{0, 8}}, kId, 1);
  EXPECT_THAT(write_using(lun, write_using_list(token, {{20, 8}})), IsGood());
  EXPECT_FALSE(lun.unit.granted().writes) << "a write must revoke it";
  // Looking at the list of tokens does not keep one alive, so it tells when the second is over.
  const auto late = std::chrono::steady_clock::now() + 30s;
  while (lun.get(receive_copy4(kAllTokens, 0)).data.size() > 8 && std::chrono::steady_clock::now() < late)
    std::this_thread::yield();
  EXPECT_THAT(write_using(lun, write_using_list(token, {{20, 8}})),
              HasSense(SenseKey::IllegalRequest, asc::kTokenExpired));
  EXPECT_TRUE(lun.unit.granted().writes);
}

TEST(WriteUsingToken, DeletesTheTokenIfAsked) {
  TestLun lun;
  const Bytes token = token_for(lun, {{0, 8}});
  Bytes list = write_using_list(token, {{20, 8}});
  list[2] = 0x02;
  EXPECT_THAT(write_using(lun, list), IsGood());
  EXPECT_THAT(write_using(lun, list), HasSense(SenseKey::IllegalRequest, asc::kTokenUnknown));
}

TEST(WriteUsingToken, KeepsTheTokenForTheRepetitionIfItIsBusy) {
  TestLun lun;
  Bytes list = write_using_list(token_for(lun, {{0, 8}}), {{20, 8}});
  list[2] = 0x02;  // DEL_TKN
  lun.device.fail(OpKind::Write, IoStatus::Busy);
  EXPECT_THAT(write_using(lun, list), IsBusy());
  lun.device.fail(OpKind::Write, IoStatus::Ok);
  EXPECT_THAT(write_using(lun, list), IsGood());
  EXPECT_THAT(write_using(lun, list), HasSense(SenseKey::IllegalRequest, asc::kTokenUnknown));
}

TEST(WriteUsingToken, TokensThatAreNoneHaveTheirCodes) {
  TestLun lun;
  const Bytes good = token_for(lun, {{0, 8}});
  const auto result = [&lun](const Bytes& token) {
    return write_using(lun, write_using_list(token, {{20, 8}}));
  };
  Bytes token = good;
  token.back() ^= 1;
  EXPECT_THAT(result(token), HasSense(SenseKey::IllegalRequest, asc::kTokenUnknown));
  token = good;
  store(token, 0, 4, 0x00010000);  // access upon reference
  EXPECT_THAT(result(token), HasSense(SenseKey::IllegalRequest, asc::kUnsupportedTokenType));
  token = good;
  store(token, 6, 2, 0x01f7);
  EXPECT_THAT(result(token), HasSense(SenseKey::IllegalRequest, asc::kInvalidTokenLength));
  EXPECT_THAT(lun.device.ops, IsEmpty());
  EXPECT_THAT(result(good), IsGood());
}

TEST(WriteUsingToken, ZeroesAreWrittenForTheZeroToken) {
  TestLun lun;
  lun.fill(Lba{0}, BlockCount{64}, 0xff);
  EXPECT_THAT(write_using(lun, write_using_list(zero_token(), {{8, 4}, {20, 2}}, 12345)), IsGood());
  EXPECT_THAT(lun.device.ops,
              ElementsAre(Op{OpKind::WriteZeroes, 8 * 512, 2048}, Op{OpKind::WriteZeroes, 20 * 512, 1024}));
  EXPECT_EQ(lun.medium(Lba{12}, BlockCount{1}), lun.block_of(0xff));
}

TEST(WriteUsingToken, ZeroesAreWrittenByHandIfNeedBe) {
  TestLun lun({.blocks = BlockCount{4096}});
  lun.fill(Lba{0}, BlockCount{4096}, 0xff);
  lun.device.fail(OpKind::WriteZeroes, IoStatus::NotSupported);
  EXPECT_THAT(write_using(lun, write_using_list(zero_token(), {{8, 1500}, {3000, 2}})), IsGood());
  EXPECT_EQ(lun.medium(Lba{8}, BlockCount{1500}), Bytes(1500 * 512, 0));
  EXPECT_EQ(lun.medium(Lba{3000}, BlockCount{2}), Bytes(1024, 0));
  EXPECT_EQ(lun.medium(Lba{1508}, BlockCount{1}), lun.block_of(0xff));
}

TEST(WriteUsingToken, OntoItsOwnSourceIsRefused) {
  TestLun lun;
  const Bytes token = token_for(lun, {{0, 8}, {16, 8}});
  const Reply reply = write_using(lun, write_using_list(token, {{30, 1}, {23, 1}}));
  EXPECT_THAT(reply, HasSense(SenseKey::IllegalRequest, asc::kInvalidFieldInParameterList));
  EXPECT_THAT(reply, PointsAtList(536 + 16));
}

TEST(WriteUsingToken, MoreThanTheTokenHoldsIsRefused) {
  TestLun lun;
  const Bytes token = token_for(lun, {{0, 8}});
  for (const auto& [offset, blocks] : {std::pair<std::uint64_t, std::uint32_t>{0, 9}, {8, 1}, {~0ull, 1}}) {
    const Reply reply = write_using(lun, write_using_list(token, {{20, blocks}}, offset));
    EXPECT_THAT(reply, HasSense(SenseKey::IllegalRequest, asc::kInvalidFieldInParameterList));
    EXPECT_THAT(reply, PointsAtList(8));
  }
  EXPECT_THAT(lun.device.ops, IsEmpty());
}

TEST(WriteUsingToken, FailuresAreThoseOfTheReadOrWrite) {
  TestLun lun;
  const Bytes token = token_for(lun, {{0, 8}});
  const Bytes list = write_using_list(token, {{20, 8}});
  lun.device.fail(OpKind::Read, IoStatus::ReadError);
  EXPECT_THAT(write_using(lun, list), HasSense(SenseKey::MediumError, asc::kUnrecoveredReadError));
  lun.device.fail(OpKind::Read, IoStatus::Busy);
  EXPECT_THAT(write_using(lun, list, 8), IsBusy());
  EXPECT_THAT(lun.get(receive_copy4(kTokenInformation, 8)).reply,
              HasSense(SenseKey::IllegalRequest, asc::kInvalidFieldInCdb));
  lun.device.fail(OpKind::Read, IoStatus::Ok);
  lun.device.fail(OpKind::Write, IoStatus::NoSpace);
  EXPECT_THAT(write_using(lun, list), HasSense(SenseKey::DataProtect, asc::kSpaceAllocationFailed));
  lun.device.fail(OpKind::Write, IoStatus::Ok);
  EXPECT_THAT(write_using(lun, list), IsGood());
}

TEST(WriteUsingToken, KeepsItsDestinationUntilItIsAnswered) {
  TestLun lun;
  const Bytes token = token_for(lun, {{0, 8}});
  lun.answered.clear();
  lun.device.hold(true);
  const Bytes list = write_using_list(token, {{40, 4}, {20, 4}});
  TestCommand& command = lun.start(token_cdb(kWriteUsing, kId, list.size()), list);
  TestCommand& write = lun.start(write10(Lba{30}, BlockCount{1}), lun.block_of(1));
  EXPECT_EQ(lun.device.held(), 1u);
  lun.device.finish_all();
  EXPECT_THAT(lun.answered, ElementsAre(&command, &write));
}

TEST(WriteUsingToken, IsRefusedByAReadOnlyDevice) {
  TestLun lun({.geometry = read_only()});
  EXPECT_THAT(write_using(lun, write_using_list(zero_token(), {{0, 1}})),
              HasSense(SenseKey::DataProtect, asc::kWriteProtected));
}

TEST(RodTokenInformation, OfAnUnknownIdentifierOrOfACopyWithoutTokensIsAnInvalidField) {
  TestLun lun;
  copy_now(lun, {.id = 9, .segments = {segment(Lba{0}, Lba{8}, 1)}});
  for (const std::uint32_t id : {9u, 10u}) {
    const Reply reply = lun.get(receive_copy4(kTokenInformation, id)).reply;
    EXPECT_THAT(reply, HasSense(SenseKey::IllegalRequest, asc::kInvalidFieldInCdb));
    EXPECT_THAT(reply, PointsAtCdb(2));
  }
}

TEST(RodTokenInformation, CanBeAskedForAgainAndKeepsToTheAllocationLength) {
  TestLun lun;
  const Bytes token = token_for(lun, {{0, 8}});
  const Bytes head = lun.get(receive_copy4(kTokenInformation, kId, 36)).data;
  ASSERT_EQ(head.size(), 36u);
  EXPECT_EQ(load(head, 0, 4), 32u + 4 + 2 + 512 - 4);
  EXPECT_EQ(load(head, 32, 4), 514u);
  EXPECT_EQ(load(head, 16, 8), 8u);  // blocks
  const Bytes again = token_information(lun);
  EXPECT_EQ(Bytes(again.end() - 512, again.end()), token);
}

TEST(AllRodTokens, AreShownWithoutWhatWouldMakeThemUsable) {
  TestLun lun;
  const Bytes gone = token_for(lun, {{8, 8}}, 1);
  const Bytes token = token_for(lun, {{0, 8}}, 2);
  lun.put(write10(Lba{8}, BlockCount{1}), lun.block_of(1));
  const Bytes data = lun.get(receive_copy4(kAllTokens, 0)).data;
  ASSERT_EQ(data.size(), 8u + 96);
  EXPECT_EQ(load(data, 0, 4), 4u + 96);
  EXPECT_EQ(Bytes(data.begin() + 8, data.end()), Bytes(token.begin(), token.begin() + 96));
}

}  // namespace
}  // namespace bulkhead::scsi
