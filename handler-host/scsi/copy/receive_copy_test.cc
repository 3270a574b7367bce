// What is told about third-party copies: RECEIVE COPY STATUS and its relatives, VPD 8Fh.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "handler-host/scsi/copy/copy_list.h"
#include "handler-host/scsi/copy/copy_results.h"
#include "handler-host/scsi/device_type.h"
#include "handler-host/scsi/testing/copy_lists.h"
#include "handler-host/scsi/testing/test_lun.h"

namespace bulkhead::scsi {
namespace {

using namespace testing;
using handler::IoStatus;
using ::testing::ElementsAre;
using ::testing::ElementsAreArray;

constexpr std::uint8_t kStatus1 = 0x00;
constexpr std::uint8_t kOperatingParameters = 0x03;
constexpr std::uint8_t kFailureDetails = 0x04;
constexpr std::uint8_t kStatus4 = 0x05;

TestCommand& start_copy(TestLun& lun, const ListShape& shape) {
  const Bytes list = lid1_list(shape);
  return lun.start(extended_copy_cdb(static_cast<std::uint32_t>(list.size())), list);
}

TEST(OperatingParameters, TellTheLimitsThatListsAreHeldTo) {
  TestLun lun({.block_bytes = 4096});
  const Bytes data = lun.get(receive_copy(kOperatingParameters, 0)).data;
  ASSERT_EQ(data.size(), 47u);
  EXPECT_EQ(load(data, 0, 4), 43u);
  EXPECT_EQ(data[4], 0x01);  // SNLID
  EXPECT_EQ(load(data, 8, 2), 16u);
  EXPECT_EQ(load(data, 10, 2), 16u);
  EXPECT_EQ(load(data, 12, 4), 1024u);
  EXPECT_EQ(load(data, 16, 4), 16u << 20);
  EXPECT_EQ(load(data, 20, 4), 0u);  // inline data
  EXPECT_EQ(load(data, 34, 2), 16u);
  EXPECT_EQ(data[37], 12);  // 2^12 bytes
  EXPECT_THAT(Bytes(data.begin() + 43, data.end()), ElementsAre(3, 0x02, 0x0a, 0xe4));
}

// ESXi reads them when it attaches a datastore, with 255 bytes of room and no list identifier.
TEST(OperatingParameters, KeepToTheAllocationLength) {
  TestLun lun;
  EXPECT_EQ(lun.get(receive_copy(kOperatingParameters, 0, 255)).data.size(), 47u);
  const Bytes head = lun.get(receive_copy(kOperatingParameters, 0, 10)).data;
  ASSERT_EQ(head.size(), 10u);
  EXPECT_EQ(load(head, 0, 4), 43u);
}

// iscsi-test-cu ReceiveCopyResults.CopyStatus.
TEST(CopyStatus, OfAnUnknownIdentifierIsAnInvalidField) {
  TestLun lun;
  for (const Bytes& cdb :
       {receive_copy(kStatus1, 1), receive_copy(kFailureDetails, 1), receive_copy4(kStatus4, 1)}) {
    const Reply reply = lun.get(cdb).reply;
    EXPECT_THAT(reply, HasSense(SenseKey::IllegalRequest, asc::kInvalidFieldInCdb));
    EXPECT_THAT(reply, PointsAtCdb(2));
  }
}

TEST(CopyStatus, TellsOnceWhatWasCopied) {
  TestLun lun;
  copy_now(lun, {.id = 9, .segments = {segment(Lba{0}, Lba{8}, 2), segment(Lba{0}, Lba{10}, 3)}});
  EXPECT_THAT(lun.get(receive_copy(kStatus1, 9)).data,
              ElementsAre(0, 0, 0, 8, 0x01, 0, 2, 0x00, 0, 0, 0x0a, 0x00));
  EXPECT_THAT(lun.get(receive_copy(kStatus1, 9)).reply,
              HasSense(SenseKey::IllegalRequest, asc::kInvalidFieldInCdb));
}

TEST(CopyStatus, FollowsACopyUnderWay) {
  TestLun lun;
  lun.device.hold(true);
  start_copy(lun, {.id = 9, .segments = {segment(Lba{0}, Lba{8}, 2), segment(Lba{0}, Lba{10}, 3)}});
  lun.device.finish();
  lun.device.finish();
  const ::testing::Matcher<Bytes> halfway = ElementsAre(0, 0, 0, 8, 0x00, 0, 2, 0x00, 0, 0, 0x04, 0x00);
  EXPECT_THAT(lun.get(receive_copy(kStatus1, 9)).data, halfway);
  EXPECT_THAT(lun.get(receive_copy(kStatus1, 9)).data, halfway);
  EXPECT_THAT(lun.get(receive_copy(kFailureDetails, 9)).reply,
              HasSense(SenseKey::IllegalRequest, asc::kInvalidFieldInCdb));
  EXPECT_EQ(lun.get(receive_copy4(kStatus4, 9)).data.at(5), 0x11);  // in the foreground
  lun.device.finish_all();
}

TEST(CopyStatus, OfACopyWithoutIdentifierIsNotKept) {
  TestLun lun;
  EXPECT_THAT(copy_now(lun, {.id = 0, .usage = 3, .segments = {segment(Lba{0}, Lba{8}, 1)}}), IsGood());
  EXPECT_THAT(lun.get(receive_copy(kStatus1, 0)).reply,
              HasSense(SenseKey::IllegalRequest, asc::kInvalidFieldInCdb));
}

TEST(CopyStatus, NothingIsKeptOfAListThatWasRefused) {
  TestLun lun;
  copy_now(lun, {.id = 9, .segments = {segment(Lba{0}, Lba{8}, 1), segment(Lba{0}, Lba{64}, 1)}});
  EXPECT_THAT(lun.get(receive_copy(kStatus1, 9)).reply,
              HasSense(SenseKey::IllegalRequest, asc::kInvalidFieldInCdb));
}

TEST(FailureDetails, AreTheSenseDataOfTheCopy) {
  TestLun lun;
  lun.device.fail(OpKind::Write, IoStatus::WriteError);
  const Reply failed = copy_now(lun, {.id = 9, .segments = {segment(Lba{0}, Lba{8}, 1)}});
  EXPECT_EQ(lun.get(receive_copy(kStatus1, 9)).data.at(4), 0x02);
  const Bytes data = lun.get(receive_copy(kFailureDetails, 9)).data;
  ASSERT_EQ(data.size(), 60u + 37u);
  EXPECT_EQ(load(data, 0, 4), data.size() - 4);
  EXPECT_EQ(data[56], 0x02);
  EXPECT_EQ(load(data, 58, 2), 37u);
  EXPECT_THAT(Bytes(data.begin() + 60, data.end()),
              ElementsAreArray(failed.sense.begin(), failed.sense.begin() + 37));
  EXPECT_THAT(lun.get(receive_copy(kFailureDetails, 9)).reply,
              HasSense(SenseKey::IllegalRequest, asc::kInvalidFieldInCdb));
}

TEST(FailureDetails, OfACopyThatWentWellAreNone) {
  TestLun lun;
  copy_now(lun, {.id = 9, .segments = {segment(Lba{0}, Lba{8}, 1)}});
  EXPECT_THAT(lun.get(receive_copy(kFailureDetails, 9)).data, ElementsAre(0, 0, 0, 0));
}

TEST(CopyStatus, OfTheLongFormHasTheSenseDataToo) {
  TestLun lun;
  const Bytes other = cscd("0");
  const Bytes list =
      lid4_list({.id = 0x12345678, .cscds = {other}, .segments = {segment(Lba{0}, Lba{8}, 1)}});
  const Reply failed = lun.put(extended_copy_cdb(static_cast<std::uint32_t>(list.size()), kLid4), list);
  const Bytes data = lun.get(receive_copy4(kStatus4, 0x12345678)).data;
  ASSERT_EQ(data.size(), 32u + 18u);
  EXPECT_EQ(load(data, 0, 4), data.size() - 4);
  EXPECT_EQ(data[4], kLid4);
  EXPECT_EQ(data[5], 0x02);
  EXPECT_EQ(data[12], 0x02);  // CHECK CONDITION
  EXPECT_EQ(data[13], 18);
  EXPECT_EQ(data[14], 18);
  EXPECT_EQ(load(data, 16, 8), 0u);
  EXPECT_THAT(Bytes(data.begin() + 32, data.end()),
              ElementsAreArray(failed.sense.begin(), failed.sense.begin() + 18));
}

TEST(CopyStatus, ThereIsRoomForAsManyCopiesUnderWayAsWasTold) {
  TestLun lun;
  lun.device.hold(true);
  for (std::uint32_t id = 0; id < CopyResults::kCapacity; ++id)
    start_copy(lun, {.id = id, .segments = {segment(Lba{0}, Lba{8}, 1)}});
  EXPECT_THAT(start_copy(lun, {.id = 99, .segments = {segment(Lba{0}, Lba{8}, 1)}}).reply(), IsBusy());
  TestCommand& unnamed = start_copy(lun, {.id = 0, .usage = 3, .segments = {segment(Lba{0}, Lba{8}, 1)}});
  lun.device.finish_all();
  EXPECT_THAT(unnamed.reply(), IsGood());
}

TEST(CopyStatus, CopiesThatWereAbortedWhileTheyWaitedLeaveTheirRoom) {
  TestLun lun;
  lun.device.hold(true);
  const TestCommand& first = start_copy(lun, {.id = 200, .segments = {segment(Lba{0}, Lba{8}, 1)}});
  for (std::uint32_t id = 0; id < 2 * CopyResults::kCapacity; ++id)
    EXPECT_TRUE(lun.unit.abort(start_copy(lun, {.id = id, .segments = {segment(Lba{0}, Lba{8}, 1)}})));
  lun.device.finish_all();
  EXPECT_THAT(first.reply(), IsGood());
  lun.device.hold(false);
  EXPECT_THAT(copy_now(lun, {.segments = {segment(Lba{0}, Lba{8}, 1)}}), IsGood());
}

// Descriptors of VPD 8Fh by type.
std::map<std::uint64_t, Bytes> third_party_descriptors(TestLun& lun) {
  const Bytes page = lun.get(vpd(0x8f)).data;
  std::map<std::uint64_t, Bytes> found;
  std::size_t at = 4;
  while (at < page.size()) {
    const std::size_t length = load(page, at + 2, 2);
    EXPECT_EQ(length % 4, 0u);
    const auto body = page.begin() + static_cast<std::ptrdiff_t>(at + 4);
    const auto [place, added] =
        found.emplace(load(page, at, 2), Bytes(body, body + static_cast<std::ptrdiff_t>(length)));
    EXPECT_TRUE(added && std::next(place) == found.end()) << "descriptors ascend";
    at += 4 + length;
  }
  EXPECT_EQ(at, page.size());
  return found;
}

TEST(ThirdPartyCopyPage, ListsTheCommandsOfTheTable) {
  TestLun lun;
  const Bytes commands = third_party_descriptors(lun).at(0x0001);
  Bytes expected;
  for (const std::uint8_t opcode : {std::uint8_t{0x83}, std::uint8_t{0x84}}) {
    const auto rows = rows_of(disk().opcodes, opcode);
    expected.push_back(opcode);
    expected.push_back(static_cast<std::uint8_t>(rows.size()));
    for (const OpcodeRow& row : rows) expected.push_back(static_cast<std::uint8_t>(row.service_action));
  }
  ASSERT_EQ(commands[0], expected.size());
  EXPECT_TRUE(std::equal(expected.begin(), expected.end(), commands.begin() + 1));
}

TEST(ThirdPartyCopyPage, SaysWhatTheOperatingParametersSay) {
  TestLun lun;
  const Bytes parameters = lun.get(receive_copy(kOperatingParameters, 0)).data;
  const auto descriptors = third_party_descriptors(lun);
  const Bytes& data = descriptors.at(0x0004);
  ASSERT_EQ(data.size(), 28u);
  for (const auto& [here, there, width] : {std::tuple{4, 8, 2}, {6, 10, 2}, {8, 12, 4}, {12, 20, 4}}) {
    EXPECT_EQ(load(data, static_cast<std::size_t>(here), static_cast<std::size_t>(width)),
              load(parameters, static_cast<std::size_t>(there), static_cast<std::size_t>(width)));
  }
  EXPECT_THAT(descriptors.at(0x0008), ElementsAre(3, 0x02, 0x0a, 0xe4));
  EXPECT_THAT(descriptors.at(0x000c), ElementsAre(0, 2, 0xff, 0xff));
  const Bytes& general = descriptors.at(0x8001);
  ASSERT_EQ(general.size(), 32u);
  EXPECT_EQ(load(general, 0, 4), load(parameters, 34, 2));
  EXPECT_EQ(load(general, 4, 4), parameters[36]);
  EXPECT_EQ(load(general, 8, 4), load(parameters, 16, 4));
  EXPECT_EQ(general[12], parameters[37]);
}

// What Windows asks before it offloads a copy.
TEST(ThirdPartyCopyPage, TellsTheLimitsOfTokens) {
  TestLun lun({.block_bytes = 4096});
  const Bytes limits = third_party_descriptors(lun).at(0x0000);
  ASSERT_EQ(limits.size(), 32u);
  EXPECT_EQ(load(limits, 6, 2), 32u);       // MAXIMUM RANGES
  EXPECT_EQ(load(limits, 8, 4), 600u);      // seconds
  EXPECT_EQ(load(limits, 12, 4), 60u);      // unless asked for otherwise
  EXPECT_EQ(load(limits, 16, 8), 16'384u);  // 64 MiB
  EXPECT_EQ(load(limits, 24, 8), 16'384u);
}

TEST(ThirdPartyCopyPage, TellsTheTypesOfTokens) {
  TestLun lun;
  const Bytes types = third_party_descriptors(lun).at(0x0108);
  ASSERT_EQ(types.size(), 4u + 2 * 64);
  EXPECT_EQ(load(types, 2, 2), 128u);
  EXPECT_EQ(load(types, 4, 4), 0x00800001u);   // point in time copy - change vulnerable
  EXPECT_EQ(types[8], 0x03);                   // in and out
  EXPECT_EQ(load(types, 68, 4), 0xffff0001u);  // zeroes
  EXPECT_EQ(types[72], 0x02);                  // in
  EXPECT_EQ(third_party_descriptors(lun).at(0x0106).size(), 44u + 48);
}

TEST(ThirdPartyCopy, IsClaimedInTheInquiryData) {
  TestLun lun;
  EXPECT_EQ(lun.get(inquiry_of()).data.at(5), 0x08);  // 3PC
}

}  // namespace
}  // namespace bulkhead::scsi
