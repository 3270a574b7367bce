#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/endian.h"
#include "handler-host/scsi/testing/test_lun.h"

namespace bulkhead::scsi {
namespace {

using namespace testing;
using handler::IoStatus;
using ::testing::ElementsAre;

constexpr std::uint8_t kWriteErrors = 0x02;
constexpr std::uint8_t kReadErrors = 0x03;
constexpr std::uint8_t kNonMedium = 0x06;
constexpr std::uint8_t kBytesProcessed = 0x05;  // parameter codes of the error counter pages
constexpr std::uint8_t kUncorrected = 0x06;

// PC 1: cumulative values, as sg_logs and smartctl ask.
Bytes log_sense_cdb(std::uint8_t page, std::uint8_t subpage = 0, std::uint8_t control = 1,
                    std::uint16_t pointer = 0, std::uint16_t allocation = 512) {
  return {0x4d,
          0,
          static_cast<std::uint8_t>(control << 6 | page),
          subpage,
          0,
          static_cast<std::uint8_t>(pointer >> 8),
          static_cast<std::uint8_t>(pointer),
          static_cast<std::uint8_t>(allocation >> 8),
          static_cast<std::uint8_t>(allocation),
          0};
}
Bytes log_select_cdb(std::uint8_t flags, std::uint8_t page = 0, std::uint8_t list_bytes = 0) {
  return {0x4c, flags, page, 0, 0, 0, 0, 0, list_bytes, 0};
}
constexpr std::uint8_t kPcr = 0x02;
constexpr std::uint8_t kSp = 0x01;

struct Parameter {
  int code;
  int control;
  Bytes value;
};
std::vector<Parameter> parameters_of(const Bytes& page) {
  std::vector<Parameter> found;
  for (std::size_t at = 4; at + 4 <= page.size(); at += 4u + page[at + 3]) {
    const auto value = page.begin() + static_cast<std::ptrdiff_t>(at + 4);
    found.push_back({page[at] << 8 | page[at + 1], page[at + 2], Bytes(value, value + page[at + 3])});
  }
  return found;
}
std::uint64_t counter(TestLun& lun, std::uint8_t page, int code, std::uint8_t control = 1) {
  for (const Parameter& parameter : parameters_of(lun.get(log_sense_cdb(page, 0, control)).data))
    if (parameter.code == code && parameter.value.size() == 8)
      return be64(std::span<const std::uint8_t, 8>(parameter.value.data(), 8));
  ADD_FAILURE() << "page " << int{page} << " has no parameter " << code;
  return 0;
}

TEST(LogSense, ListsPagesAndEachCanBeRead) {
  TestLun lun;
  const Bytes list = lun.get(log_sense_cdb(0x00)).data;
  EXPECT_THAT(list, ElementsAre(0x00, 0x00, 0, 5, 0x00, 0x02, 0x03, 0x06, 0x2f));
  for (std::size_t i = 4; i < list.size(); ++i) {
    const Answer answer = lun.get(log_sense_cdb(list[i]));
    EXPECT_THAT(answer.reply, IsGood());
    EXPECT_EQ(answer.data[0] & 0x3f, list[i]);
    EXPECT_EQ(answer.data.size(), 4u + static_cast<std::size_t>(answer.data[2] << 8 | answer.data[3]));
  }
}

TEST(LogSense, ListsPagesWithTheirSubpages) {
  TestLun lun;
  EXPECT_THAT(
      lun.get(log_sense_cdb(0x00, 0xff)).data,
      ElementsAre(0x40, 0xff, 0, 12, 0x00, 0x00, 0x00, 0xff, 0x02, 0x00, 0x03, 0x00, 0x06, 0x00, 0x2f, 0x00));
}

TEST(LogSense, CountsBytesAndMediumErrorsOfEachDirection) {
  TestLun lun;
  EXPECT_THAT(lun.put(write10(Lba{0}, BlockCount{3}), Bytes(3 * 512)), IsGood());
  EXPECT_THAT(lun.get(read10(Lba{0}, BlockCount{1})).reply, IsGood());
  lun.device.fail(OpKind::Read, IoStatus::ReadError);
  lun.device.fail(OpKind::Write, IoStatus::WriteError);
  lun.get(read10(Lba{0}, BlockCount{1}));
  lun.get(read10(Lba{0}, BlockCount{1}));
  lun.put(write10(Lba{0}, BlockCount{1}), Bytes(512));
  EXPECT_EQ(counter(lun, kWriteErrors, kBytesProcessed), 4u * 512);
  EXPECT_EQ(counter(lun, kWriteErrors, kUncorrected), 1u);
  EXPECT_EQ(counter(lun, kReadErrors, kBytesProcessed), 3u * 512);
  EXPECT_EQ(counter(lun, kReadErrors, kUncorrected), 2u);
  EXPECT_EQ(counter(lun, kNonMedium, 0), 0u);
}

TEST(LogSense, CountsFailuresThatAreNotTheMediumsNorTheInitiators) {
  TestLun lun;
  lun.device.fail(OpKind::Flush, IoStatus::WriteError);
  lun.run({0x35, 0, 0, 0, 0, 0, 0, 0, 0, 0});
  lun.run({0xd0, 0, 0, 0, 0, 0, 0, 0, 0, 0});
  lun.run(write10(Lba{64}, BlockCount{1}));
  lun.device.fail(OpKind::Write, IoStatus::NoSpace);
  lun.put(write10(Lba{0}, BlockCount{1}), Bytes(512));
  lun.device.fail(OpKind::Write, IoStatus::Busy);
  lun.put(write10(Lba{0}, BlockCount{1}), Bytes(512));
  EXPECT_EQ(counter(lun, kNonMedium, 0), 1u);
  EXPECT_EQ(counter(lun, kWriteErrors, kUncorrected), 0u);
}

TEST(LogSense, ShowsZeroAsTheDefaultOfCounters) {
  TestLun lun;
  lun.put(write10(Lba{0}, BlockCount{1}), Bytes(512));
  EXPECT_EQ(counter(lun, kWriteErrors, kBytesProcessed, 3), 0u);
  EXPECT_EQ(counter(lun, kWriteErrors, kBytesProcessed, 1), 512u);
}

TEST(LogSense, TellsThatNoExceptionIsPendingAndNoTemperatureKnown) {
  TestLun lun;
  const auto found = parameters_of(lun.get(log_sense_cdb(0x2f)).data);
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].code, 0);
  EXPECT_EQ(found[0].control & 0x03, 0x03);  // binary format list
  EXPECT_THAT(found[0].value, ElementsAre(0, 0, 0xff, 0));
}

TEST(LogSense, BeginsWithTheParameterThatThePointerNames) {
  TestLun lun;
  const Bytes page = lun.get(log_sense_cdb(kReadErrors, 0, 1, 0x0006)).data;
  EXPECT_EQ(page[3], 12);
  ASSERT_EQ(parameters_of(page).size(), 1u);
  EXPECT_EQ(parameters_of(page)[0].code, 0x0006);
  EXPECT_EQ(parameters_of(lun.get(log_sense_cdb(kReadErrors, 0, 1, 0x0001)).data).size(), 2u);
}

TEST(LogSense, APointerBeyondTheLastParameterIsRefused) {
  TestLun lun;
  for (const Bytes& cdb : {log_sense_cdb(kReadErrors, 0, 1, 0x0007), log_sense_cdb(0x00, 0, 1, 0x0001)}) {
    const Reply reply = lun.get(cdb).reply;
    EXPECT_THAT(reply, HasSense(SenseKey::IllegalRequest, asc::kInvalidFieldInCdb));
    EXPECT_THAT(reply, PointsAtCdb(5));
  }
}

TEST(LogSense, WhatIsNotThereIsPointedAt) {
  TestLun lun;
  EXPECT_THAT(lun.get(log_sense_cdb(0x11)).reply, PointsAtCdb(2, 5));
  EXPECT_THAT(lun.get(log_sense_cdb(kReadErrors, 0x01)).reply, PointsAtCdb(3));
  EXPECT_THAT(lun.get(log_sense_cdb(kReadErrors, 0, 0)).reply, PointsAtCdb(2, 7));  // thresholds
  EXPECT_THAT(lun.get(log_sense_cdb(kReadErrors, 0, 2)).reply, PointsAtCdb(2, 7));
  Bytes saving = log_sense_cdb(kReadErrors);
  saving[1] = kSp;
  EXPECT_THAT(lun.get(saving).reply, PointsAtCdb(1, 0));
}

// sg_logs and smartctl read 4 bytes first, then all.
TEST(LogSense, AShortAllocationLengthCutsTheDataAndNotItsLength) {
  TestLun lun;
  const Bytes head = lun.get(log_sense_cdb(kReadErrors, 0, 1, 0, 4)).data;
  EXPECT_EQ(head.size(), 4u);
  EXPECT_EQ(head[3] + 4u, lun.get(log_sense_cdb(kReadErrors)).data.size());
}

TEST(LogSelect, ResetsTheCountersOfOnePageOrOfAll) {
  TestLun lun;
  lun.put(write10(Lba{0}, BlockCount{1}), Bytes(512));
  lun.get(read10(Lba{0}, BlockCount{1}));
  lun.device.fail(OpKind::Flush, IoStatus::WriteError);
  lun.run({0x35, 0, 0, 0, 0, 0, 0, 0, 0, 0});
  EXPECT_THAT(lun.run(log_select_cdb(kPcr, kReadErrors)), IsGood());
  EXPECT_EQ(counter(lun, kReadErrors, kBytesProcessed), 0u);
  EXPECT_EQ(counter(lun, kWriteErrors, kBytesProcessed), 512u);
  EXPECT_EQ(counter(lun, kNonMedium, 0), 1u);
  EXPECT_THAT(lun.run(log_select_cdb(kPcr)), IsGood());
  EXPECT_EQ(counter(lun, kWriteErrors, kBytesProcessed), 0u);
  EXPECT_EQ(counter(lun, kNonMedium, 0), 0u);
}

TEST(LogSelect, WithoutPcrAndWithoutAListChangesNothing) {
  TestLun lun;
  lun.put(write10(Lba{0}, BlockCount{1}), Bytes(512));
  EXPECT_THAT(lun.run(log_select_cdb(0)), IsGood());
  EXPECT_EQ(counter(lun, kWriteErrors, kBytesProcessed), 512u);
}

TEST(LogSelect, SavingParameterListsAndUnknownPagesAreRefused) {
  TestLun lun;
  lun.put(write10(Lba{0}, BlockCount{1}), Bytes(512));
  Reply reply = lun.run(log_select_cdb(kPcr | kSp));
  EXPECT_THAT(reply, HasSense(SenseKey::IllegalRequest, asc::kInvalidFieldInCdb));
  EXPECT_THAT(reply, PointsAtCdb(1, 0));
  EXPECT_THAT(lun.put(log_select_cdb(kPcr, 0, 4), Bytes(4)), PointsAtCdb(7));
  EXPECT_THAT(lun.run(log_select_cdb(kPcr, 0x11)), PointsAtCdb(2, 5));
  EXPECT_EQ(counter(lun, kWriteErrors, kBytesProcessed), 512u);
}

}  // namespace
}  // namespace bulkhead::scsi
