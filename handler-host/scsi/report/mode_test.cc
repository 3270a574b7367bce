#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/endian.h"
#include "handler-host/scsi/testing/mode_lists.h"
#include "handler-host/scsi/testing/test_lun.h"

namespace bulkhead::scsi {
namespace {

using namespace testing;
using handler::IoStatus;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr std::uint8_t kLlbaa = 0x10;
constexpr std::uint8_t kSp = 0x01;
constexpr std::uint8_t kChangeable = 0x40;
constexpr std::uint8_t kDefault = 0x80;
constexpr std::uint8_t kSaved = 0xc0;
constexpr std::uint8_t kControlPage = 0x0a;
constexpr std::uint8_t kDSense = 0x04;  // of byte 2
constexpr std::uint8_t kSwp = 0x08;     // of byte 4

Bytes sense6(std::uint8_t page, std::uint8_t flags = kDbd, std::uint8_t subpage = 0,
             std::uint8_t allocation = 255) {
  return {0x1a, flags, page, subpage, allocation, 0};
}
Bytes sense10(std::uint8_t page, std::uint8_t flags = kDbd, std::uint8_t subpage = 0) {
  return {0x5a, flags, page, subpage, 0, 0, 0, 2, 0, 0};
}
Bytes select10(std::size_t bytes, std::uint8_t flags = kPf) {
  return {0x55, flags, 0, 0, 0, 0, 0, static_cast<std::uint8_t>(bytes >> 8), static_cast<std::uint8_t>(bytes),
          0};
}
// Pages of a MODE SENSE(6) answer without block descriptors: where each begins, and its code and subpage.
struct Page {
  std::size_t at;
  std::size_t body_at;
  std::size_t end;
  int code;
  int subpage;
};
std::vector<Page> pages_of(const Bytes& data) {
  std::vector<Page> pages;
  for (std::size_t at = 4; at < data.size(); at = pages.back().end) {
    const bool sub = (data[at] & 0x40) != 0;
    const std::size_t header = sub ? 4 : 2;
    const std::size_t length =
        sub ? static_cast<std::size_t>(data[at + 2] << 8 | data[at + 3]) : data[at + 1];
    pages.push_back({at, at + header, at + header + length, data[at] & 0x3f, sub ? data[at + 1] : 0});
  }
  return pages;
}
// The bits of a byte of the answer that MODE SELECT can change.
std::uint8_t changeable_at(const Page& page, std::size_t byte) {
  if (page.code == kCachingPage && byte == page.at + 2) return kWce;
  if (page.code == kControlPage && page.subpage == 0 && byte == page.at + 2) return kDSense;
  if (page.code == kControlPage && page.subpage == 0 && byte == page.at + 4) return kSwp;
  return 0;
}
bool shown_wce(TestLun& lun, std::uint8_t control = 0) {
  return (lun.get(sense6(static_cast<std::uint8_t>(control | kCachingPage))).data.at(6) & kWce) != 0;
}

TEST(ModeSense6, GivesHeaderBlockDescriptorAndThePage) {
  TestLun lun({.blocks = BlockCount{64}});
  const Bytes data = lun.get(sense6(kCachingPage, 0)).data;
  ASSERT_EQ(data.size(), 4u + 8 + 20);
  EXPECT_EQ(data[0], data.size() - 1);
  EXPECT_EQ(data[2], 0x10);  // DPOFUA, not WP
  EXPECT_EQ(data[3], 8);
  EXPECT_THAT(Bytes(data.begin() + 4, data.begin() + 12), ElementsAre(0, 0, 0, 64, 0, 0, 0x02, 0x00));
  EXPECT_EQ(data[12], kCachingPage);
  EXPECT_EQ(data[13], 18);
  EXPECT_EQ(data[14], kWce);
}

TEST(ModeSense6, WithoutBlockDescriptorsIfToldSo) {
  TestLun lun;
  const Bytes data = lun.get(sense6(kCachingPage)).data;
  EXPECT_EQ(data.size(), 4u + 20);
  EXPECT_EQ(data[3], 0);
}

TEST(ModeSense6, GivesAllPagesInAscendingOrder) {
  TestLun lun;
  const Bytes data = lun.get(sense6(0x3f)).data;
  std::vector<int> pages;
  for (const Page& page : pages_of(data)) pages.push_back(page.code << 8 | page.subpage);
  EXPECT_THAT(pages, ElementsAre(0x0100, 0x0800, 0x0a00, 0x1c00));
  EXPECT_EQ(data[0] + 1u, data.size());
}

TEST(ModeSense6, GivesSubpagesIfAskedForAllOfThem) {
  TestLun lun;
  const Bytes data = lun.get(sense6(0x3f, kDbd, 0xff)).data;
  std::vector<int> pages;
  for (const Page& page : pages_of(data)) pages.push_back(page.code << 8 | page.subpage);
  EXPECT_THAT(pages, ElementsAre(0x0100, 0x0800, 0x0a00, 0x0a01, 0x1c00));
  EXPECT_EQ(pages_of(lun.get(sense6(kControlPage, kDbd, 0xff)).data).size(), 2u);
  EXPECT_EQ(pages_of(lun.get(sense6(kControlPage)).data).size(), 1u);
}

TEST(ModeSense6, GivesTheControlExtensionPage) {
  TestLun lun;
  const Bytes data = lun.get(sense6(kControlPage, kDbd, 0x01)).data;
  ASSERT_EQ(data.size(), 4u + 32);
  EXPECT_THAT(Bytes(data.begin() + 4, data.begin() + 11),
              ElementsAre(0x4a, 0x01, 0, 28, 0x04 /* TCMOS */, 0, 0 /* no limit of its own */));
}

TEST(ModeSense6, TellsWriteProtection) {
  TestLun lun({.geometry = read_only()});
  EXPECT_EQ(lun.get(sense6(kCachingPage)).data[2], 0x90);
}

TEST(ModeSense6, AnUnknownPageOrSubpageIsRefused) {
  TestLun lun;
  Reply reply = lun.get(sense6(0x19)).reply;
  EXPECT_THAT(reply, HasSense(SenseKey::IllegalRequest, asc::kInvalidFieldInCdb));
  EXPECT_THAT(reply, PointsAtCdb(2, 5));
  reply = lun.get(sense6(kCachingPage, kDbd, 0x01)).reply;
  EXPECT_THAT(reply, HasSense(SenseKey::IllegalRequest, asc::kInvalidFieldInCdb));
  EXPECT_THAT(reply, PointsAtCdb(3));
}

TEST(ModeSense6, SavedValuesAreNotSupported) {
  TestLun lun;
  EXPECT_THAT(lun.get(sense6(kSaved | kCachingPage)).reply,
              HasSense(SenseKey::IllegalRequest, asc::kSavingNotSupported));
}

TEST(ModeSense6, OnlyWriteCacheSenseFormatAndWriteProtectionAreChangeable) {
  TestLun lun;
  const Bytes data = lun.get(sense6(kChangeable | 0x3f, kDbd, 0xff)).data;
  for (const Page& page : pages_of(data))
    for (std::size_t i = page.body_at; i < page.end; ++i) EXPECT_EQ(data[i], changeable_at(page, i)) << i;
}

TEST(ModeSense6, WithoutAWriteCacheInTheDeviceNothingIsChangeable) {
  handler::Geometry geometry;
  geometry.write_cache = false;
  TestLun lun({.geometry = geometry});
  EXPECT_FALSE(shown_wce(lun));
  EXPECT_FALSE(shown_wce(lun, kChangeable));
  EXPECT_FALSE(shown_wce(lun, kDefault));
}

TEST(ModeSense6, AShortAllocationLengthCutsTheDataAndNotItsLength) {
  TestLun lun;
  const Bytes data = lun.get(sense6(0x3f, kDbd, 0, 4)).data;
  EXPECT_EQ(data.size(), 4u);
  EXPECT_EQ(data[0] + 1u, lun.get(sense6(0x3f)).data.size());
}

TEST(ModeSense10, GivesTheLongBlockDescriptorIfAllowed) {
  TestLun lun({.blocks = BlockCount{64}, .block_bytes = 4096});
  const Bytes data = lun.get(sense10(kCachingPage, kLlbaa)).data;
  ASSERT_EQ(data.size(), 8u + 16 + 20);
  EXPECT_EQ(data[1], data.size() - 2);
  EXPECT_EQ(data[4], 0x01);  // LONGLBA
  EXPECT_EQ(data[7], 16);
  EXPECT_THAT(Bytes(data.begin() + 8, data.begin() + 24),
              ElementsAre(0, 0, 0, 0, 0, 0, 0, 64, 0, 0, 0, 0, 0, 0, 0x10, 0x00));
}

TEST(ModeSense10, GivesTheShortOneOtherwise) {
  TestLun lun;
  const Bytes data = lun.get(sense10(kCachingPage, 0)).data;
  EXPECT_EQ(data[4], 0x00);
  EXPECT_EQ(data[7], 8);
}

TEST(ModeSelect6, SwitchesTheWriteCacheOffAfterAFlushAndOnAgain) {
  TestLun lun;
  lun.device.hold(true);
  const Bytes list = caching_list(false);
  TestCommand& select = lun.start(select6(list.size()), list);
  EXPECT_FALSE(select.answered());
  EXPECT_EQ(lun.device.held_op(0).kind, OpKind::Flush);
  lun.device.finish();
  EXPECT_THAT(select.reply(), IsGood());
  lun.device.hold(false);
  EXPECT_FALSE(lun.unit.write_cache());
  EXPECT_FALSE(shown_wce(lun));
  EXPECT_TRUE(shown_wce(lun, kDefault));

  EXPECT_THAT(select_caching(lun, true), IsGood());
  EXPECT_TRUE(shown_wce(lun));
}

TEST(ModeSelect6, LeavesTheCacheOnIfItCannotBeFlushed) {
  TestLun lun;
  lun.device.fail(OpKind::Flush, IoStatus::WriteError);
  EXPECT_THAT(select_caching(lun, false), HasSense(SenseKey::HardwareError, asc::kWriteError));
  EXPECT_TRUE(shown_wce(lun));
}

// The write is cached when it is answered, so the flush has to come after it.
TEST(ModeSelect6, SwitchesTheCacheOffOnlyAfterWritesUnderWay) {
  TestLun lun;
  lun.device.hold(true);
  TestCommand& write = lun.start(write10(Lba{0}, BlockCount{1}), lun.block_of(1));
  const Bytes list = caching_list(false);
  TestCommand& select = lun.start(select6(list.size()), list);
  ASSERT_EQ(lun.device.held(), 1u);
  EXPECT_EQ(lun.device.held_op(0).kind, OpKind::Write);
  lun.device.finish();
  EXPECT_TRUE(write.answered());
  ASSERT_EQ(lun.device.held(), 1u);
  EXPECT_EQ(lun.device.held_op(0).kind, OpKind::Flush);
  lun.device.finish();
  EXPECT_THAT(select.reply(), IsGood());
}

// A MODE SELECT that switches the cache off, and waits for a write that is under way.
TestCommand& start_switching_off(TestLun& lun) {
  lun.device.hold(true);
  lun.start(write10(Lba{0}, BlockCount{1}), lun.block_of(1));
  const Bytes list = caching_list(false);
  return lun.start(select6(list.size()), list);
}

TEST(ModeSelect6, SwitchesTheCacheOffThoughOneBeforeItCameToNothing) {
  TestLun lun;
  TestCommand& first = start_switching_off(lun);
  const Bytes list = caching_list(false);
  TestCommand& second = lun.start(select6(list.size()), list);
  EXPECT_TRUE(lun.unit.abort(first));
  lun.device.finish_all();
  EXPECT_THAT(second.reply(), IsGood());
  EXPECT_FALSE(lun.unit.write_cache());
}

TEST(WriteCache, IsSwitchedOffByTheAdministratorThoughAModeSelectBeforeCameToNothing) {
  TestLun lun;
  TestCommand& first = start_switching_off(lun);
  std::optional<Result<>> switched;
  lun.unit.set_write_cache(false, [&](Result<> done) { switched = std::move(done); });
  EXPECT_TRUE(lun.unit.abort(first));
  lun.device.finish_all();
  ASSERT_TRUE(switched && *switched);
  EXPECT_FALSE(lun.unit.write_cache());
}

TEST(ModeSelect6, SwitchingTheCacheOffTwiceAtOnceIsTwoFlushes) {
  TestLun lun;
  lun.device.hold(true);
  const Bytes list = caching_list(false);
  TestCommand& first = lun.start(select6(list.size()), list);
  TestCommand& second = lun.start(select6(list.size()), list);
  lun.device.finish();
  EXPECT_THAT(first.reply(), IsGood());
  EXPECT_FALSE(second.answered());
  lun.device.finish();
  EXPECT_THAT(second.reply(), IsGood());
}

TEST(AdministratorsSwitch, IsThroughAfterWritesUnderWayAndAFlush) {
  TestLun lun;
  lun.device.hold(true);
  TestCommand& write = lun.start(write10(Lba{0}, BlockCount{1}), lun.block_of(1));
  std::optional<Result<>> switched;
  lun.unit.set_write_cache(false, [&](Result<> done) { switched = std::move(done); });
  EXPECT_EQ(lun.device.held(), 1u);
  EXPECT_EQ(lun.unit.under_way(), 2u);
  lun.device.finish();
  EXPECT_TRUE(write.answered());
  EXPECT_EQ(lun.device.held_op(0).kind, OpKind::Flush);
  EXPECT_FALSE(switched);
  lun.device.finish();
  ASSERT_TRUE(switched);
  EXPECT_TRUE(switched->has_value());
  EXPECT_THAT(lun.run(test_unit_ready_cdb()), HasSense(SenseKey::UnitAttention, asc::kModeParametersChanged));
  EXPECT_FALSE(shown_wce(lun));
  EXPECT_EQ(lun.unit.under_way(), 0u);
}

TEST(AdministratorsSwitch, LeavesTheCacheOnIfItCannotBeFlushed) {
  TestLun lun;
  lun.device.fail(OpKind::Flush, IoStatus::WriteError);
  std::optional<Result<>> switched;
  lun.unit.set_write_cache(false, [&](Result<> done) { switched = std::move(done); });
  ASSERT_TRUE(switched);
  EXPECT_FALSE(switched->has_value());
  EXPECT_TRUE(lun.unit.write_cache());
}

TEST(ModeSelect6, WhatModeSenseGaveIsTakenBack) {
  TestLun lun;
  Bytes list = lun.get(sense6(0x3f, 0, 0xff)).data;
  list[0] = 0;
  EXPECT_THAT(lun.put(select6(list.size()), list), IsGood());
  EXPECT_TRUE(shown_wce(lun));
}

TEST(ModeSelect6, EveryBitThatIsNotChangeableIsRefusedWithAPointerToIt) {
  TestLun lun;
  Bytes good = lun.get(sense6(0x3f, kDbd, 0xff)).data;
  good[0] = 0;
  for (const Page& page : pages_of(good)) {
    for (std::size_t byte = page.body_at; byte < page.end; ++byte) {
      for (int bit = 0; bit < 8; ++bit) {
        if ((changeable_at(page, byte) & 1 << bit) != 0) continue;
        Bytes list = good;
        list[byte] = static_cast<std::uint8_t>(list[byte] ^ (1 << bit));
        const Reply reply = lun.put(select6(list.size()), list);
        ASSERT_THAT(reply, HasSense(SenseKey::IllegalRequest, asc::kInvalidFieldInParameterList));
        ASSERT_THAT(reply, PointsAtList(static_cast<int>(byte), bit));
      }
    }
  }
}

TEST(ModeSelect6, OneBadPageLeavesTheOthersAsTheyWere) {
  TestLun lun;
  Bytes list = caching_list(false);
  const Bytes bad{0x0a, 10, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0};
  list.insert(list.end(), bad.begin(), bad.end());
  EXPECT_THAT(lun.put(select6(list.size()), list),
              HasSense(SenseKey::IllegalRequest, asc::kInvalidFieldInParameterList));
  EXPECT_TRUE(shown_wce(lun));
}

TEST(ModeSelect6, AListThatEndsWithinAPageOrHeaderIsALengthError) {
  TestLun lun;
  const Bytes list = caching_list(false);
  for (std::size_t bytes = 1; bytes < list.size(); ++bytes) {
    if (bytes == 4) continue;  // a header and no page: fine
    EXPECT_THAT(
        lun.put(select6(bytes), Bytes(list.begin(), list.begin() + static_cast<std::ptrdiff_t>(bytes))),
        HasSense(SenseKey::IllegalRequest, asc::kParameterListLengthError))
        << bytes;
  }
  EXPECT_THAT(lun.put(select6(4), Bytes(4)), IsGood());
  EXPECT_TRUE(shown_wce(lun));
}

TEST(ModeSelect6, ALengthBeyondWhatWasSentIsALengthError) {
  TestLun lun;
  EXPECT_THAT(lun.put(select6(24), Bytes(23)),
              HasSense(SenseKey::IllegalRequest, asc::kParameterListLengthError));
}

TEST(ModeSelect6, NoListChangesNothing) {
  TestLun lun;
  EXPECT_THAT(lun.put(select6(0)), IsGood());
  EXPECT_THAT(lun.put(select6(0, 0)), IsGood());
}

TEST(ModeSelect6, SavingAndVendorSpecificListsAreRefused) {
  TestLun lun;
  const Bytes list = caching_list(true);
  Reply reply = lun.put(select6(list.size(), kPf | kSp), list);
  EXPECT_THAT(reply, HasSense(SenseKey::IllegalRequest, asc::kInvalidFieldInCdb));
  EXPECT_THAT(reply, PointsAtCdb(1, 0));
  reply = lun.put(select6(list.size(), 0), list);
  EXPECT_THAT(reply, HasSense(SenseKey::IllegalRequest, asc::kInvalidFieldInCdb));
  EXPECT_THAT(reply, PointsAtCdb(1, 4));
}

struct BadList {
  const char* what;
  Bytes list;
  int byte;
};
TEST(ModeSelect6, WhatCannotBeHadIsPointedAt) {
  TestLun lun({.blocks = BlockCount{64}});
  const std::vector<BadList> lists{
      {"medium type", {0, 1, 0, 0}, 1},
      {"length of the block descriptors", {0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0}, 3},
      {"number of blocks", {0, 0, 0, 8, 0, 0, 0, 65, 0, 0, 2, 0}, 4},
      {"block length", {0, 0, 0, 8, 0, 0, 0, 64, 0, 0, 4, 0}, 4 + 5},
      {"page", {0, 0, 0, 0, 0x19, 0}, 4},
      {"page length", {0, 0, 0, 0, kCachingPage, 17, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 5},
      {"subpage", {0, 0, 0, 0, 0x40 | kCachingPage, 1, 0, 0}, 4},
      {"subpage format of a page without", {0, 0, 0, 0, 0x40 | kCachingPage, 0, 0, 18}, 4},
      {"PS", {0, 0, 0, 0, 0x80 | kCachingPage, 18}, 4},
  };
  for (const BadList& bad : lists) {
    const Reply reply = lun.put(select6(bad.list.size()), bad.list);
    EXPECT_THAT(reply, HasSense(SenseKey::IllegalRequest, asc::kInvalidFieldInParameterList)) << bad.what;
    EXPECT_THAT(reply, PointsAtList(bad.byte)) << bad.what;
  }
}

TEST(ModeSelect6, AWriteCacheThatTheDeviceLacksCannotBeSwitchedOn) {
  handler::Geometry geometry;
  geometry.write_cache = false;
  TestLun lun({.geometry = geometry});
  const Reply reply = select_caching(lun, true);
  EXPECT_THAT(reply, HasSense(SenseKey::IllegalRequest, asc::kInvalidFieldInParameterList));
  EXPECT_THAT(reply, PointsAtList(6, 2));
}

TEST(ModeSelect10, TakesWhatModeSense10GaveWithTheLongDescriptor) {
  TestLun lun;
  Bytes list = lun.get(sense10(0x3f, kLlbaa)).data;
  list[0] = list[1] = 0;
  list[8 + 16 + 12 + 2] = 0;  // WCE off: after the error recovery page
  EXPECT_THAT(lun.put(select10(list.size()), list), IsGood());
  EXPECT_FALSE(lun.unit.write_cache());
}

TEST(ModeSelect10, OtherBlocksInTheLongDescriptorAreRefused) {
  TestLun lun;
  Bytes list = lun.get(sense10(0x3f, kLlbaa)).data;
  list[8 + 7] = 1;
  Reply reply = lun.put(select10(list.size()), list);
  EXPECT_THAT(reply, HasSense(SenseKey::IllegalRequest, asc::kInvalidFieldInParameterList));
  EXPECT_THAT(reply, PointsAtList(8));
  list = lun.get(sense10(0x3f, kLlbaa)).data;
  list[8 + 15] = 1;
  reply = lun.put(select10(list.size()), list);
  EXPECT_THAT(reply, PointsAtList(8 + 12));
}

}  // namespace
}  // namespace bulkhead::scsi
