#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/endian.h"
#include "handler-host/scsi/report/identity.h"
#include "handler-host/scsi/testing/test_lun.h"

namespace bulkhead::scsi {
namespace {

using namespace testing;
using ::testing::ElementsAre;
using ::testing::ElementsAreArray;
using ::testing::IsEmpty;

std::string text(const Bytes& bytes, std::size_t at, std::size_t length) {
  return {bytes.begin() + static_cast<std::ptrdiff_t>(at),
          bytes.begin() + static_cast<std::ptrdiff_t>(at + length)};
}
std::uint16_t u16(const Bytes& bytes, std::size_t at) {
  return be16(std::span<const std::uint8_t, 2>(&bytes[at], 2));
}
std::uint32_t u32(const Bytes& bytes, std::size_t at) {
  return be32(std::span<const std::uint8_t, 4>(&bytes[at], 4));
}

TEST(StandardInquiry, IsTheDiskThatInitiatorsKnow) {
  TestLun lun;
  const Answer answer = lun.get(inquiry_of());
  EXPECT_THAT(answer.reply, IsGood());
  ASSERT_EQ(answer.data.size(), 96u);
  EXPECT_EQ(answer.data[0], 0x00);  // direct access block device
  EXPECT_EQ(answer.data[1], 0x00);  // not removable
  EXPECT_EQ(answer.data[3], 0x02);  // RESPONSE DATA FORMAT
  EXPECT_EQ(answer.data[4], 91);    // ADDITIONAL LENGTH
  EXPECT_EQ(text(answer.data, 8, 8), "LIO-ORG ");
  EXPECT_EQ(text(answer.data, 16, 16), "TCMU device     ");
  EXPECT_EQ(text(answer.data, 32, 4), "0002");
}

// iscsi-test-cu judges the block limits page by these claims.
TEST(StandardInquiry, ClaimsSpc4AndSbc3) {
  TestLun lun;
  const Bytes data = lun.get(inquiry_of()).data;
  EXPECT_EQ(u16(data, 58), 0x00a0);  // SAM-5
  EXPECT_EQ(u16(data, 60), 0x0460);  // SPC-4
  EXPECT_EQ(u16(data, 62), 0x04c0);  // SBC-3
  EXPECT_EQ(u16(data, 64), 0);
}

TEST(StandardInquiry, ShowsTheNamesThatTheAdministratorChose) {
  TestLun lun;
  lun.identity.identity = Identity{"s", "ACME", "A very long product name", "9"};
  const Bytes data = lun.get(inquiry_of()).data;
  EXPECT_EQ(text(data, 8, 8), "ACME    ");
  EXPECT_EQ(text(data, 16, 16), "A very long prod");
  EXPECT_EQ(text(data, 32, 4), "9   ");
}

TEST(StandardInquiry, GivesExactlyWhatTheAllocationLengthAsksFor) {
  TestLun lun;
  const Bytes whole = lun.get(inquiry_of(512)).data;
  for (std::uint16_t allocation = 0; allocation < 300; ++allocation) {
    const Answer answer = lun.get(inquiry_of(allocation));
    EXPECT_THAT(answer.reply, IsGood());
    const std::size_t expected = std::min<std::size_t>(allocation, whole.size());
    EXPECT_THAT(answer.data,
                ElementsAreArray(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(expected)));
  }
}

TEST(StandardInquiry, ABufferSmallerThanTheAllocationLengthIsNotOverrun) {
  TestLun lun;
  EXPECT_EQ(lun.get(inquiry_of(96), 5).data.size(), 5u);
}

TEST(Inquiry, APageCodeWithoutEvpdIsRefused) {
  TestLun lun;
  Bytes cdb = inquiry_of();
  cdb[2] = 0x80;
  const Reply reply = lun.get(cdb).reply;
  EXPECT_THAT(reply, HasSense(SenseKey::IllegalRequest, asc::kInvalidFieldInCdb));
  EXPECT_THAT(reply, PointsAtCdb(2));
}

TEST(Inquiry, AnUnknownPageIsRefused) {
  TestLun lun;
  const Reply reply = lun.get(vpd(0x88)).reply;
  EXPECT_THAT(reply, HasSense(SenseKey::IllegalRequest, asc::kInvalidFieldInCdb));
  EXPECT_THAT(reply, PointsAtCdb(2));
}

TEST(Inquiry, WaitsForTheIdentity) {
  TestLun lun;
  lun.identity.hold = true;
  std::vector<std::byte> buffer(255);
  TestCommand command(vpd(0x80), buffer);
  lun.unit.execute(command);
  EXPECT_FALSE(command.answered());
  EXPECT_EQ(lun.unit.under_way(), 1u);
  lun.identity.answer_held();
  EXPECT_THAT(command.reply(), IsGood());
  EXPECT_EQ(lun.unit.under_way(), 0u);
}

TEST(Inquiry, WithoutAnAnswerAboutTheIdentityIsBusyAndNeverMadeUp) {
  TestLun lun;
  lun.identity.identity = fail(Cause::TimedOut, ETIMEDOUT, "no answer");
  EXPECT_THAT(lun.get(vpd(0x83)).reply, IsBusy());
  EXPECT_THAT(lun.get(vpd(0x80)).reply, IsBusy());
  EXPECT_THAT(lun.get(inquiry_of()).reply, IsBusy());
  EXPECT_THAT(lun.get(vpd(0xb0)).reply, IsGood());
}

TEST(Inquiry, AsksAnewEachTimeBecauseTheSerialIsSetLate) {
  TestLun lun;
  lun.identity.identity = Identity{};
  lun.get(vpd(0x80));
  lun.identity.identity = Identity{"later", {}, {}, {}};
  EXPECT_EQ(text(lun.get(vpd(0x80)).data, 4, 6), std::string("later\0", 6));
}

TEST(VpdPages, AreListedInAscendingOrderAndEachCanBeRead) {
  TestLun lun;
  const Bytes list = lun.get(vpd(0x00)).data;
  EXPECT_THAT(list,
              ElementsAre(0x00, 0x00, 0x00, 10, 0x00, 0x80, 0x83, 0x86, 0x87, 0x8f, 0xb0, 0xb1, 0xb2, 0xb4));
  for (std::size_t i = 4; i < list.size(); ++i) {
    const Answer answer = lun.get(vpd(list[i]));
    EXPECT_THAT(answer.reply, IsGood());
    EXPECT_EQ(answer.data[1], list[i]);
    EXPECT_EQ(u16(answer.data, 2) + 4u, answer.data.size());
  }
}

TEST(VpdPages, KeepToTheAllocationLengthAndStillTellTheirOwn) {
  TestLun lun;
  const Bytes head = lun.get(vpd(0xb0, 8)).data;
  EXPECT_EQ(head.size(), 8u);
  EXPECT_EQ(u16(head, 2), 0x3c);
}

TEST(UnitSerialNumber, IsTheSerialAndItsNul) {
  TestLun lun;
  const Bytes page = lun.get(vpd(0x80)).data;
  EXPECT_EQ(u16(page, 2), 37);
  EXPECT_EQ(text(page, 4, 37), std::string("5cf01f8a-3bde-4b37-a6a7-c9f5f8a0e2d1\0", 37));
}

TEST(UnitSerialNumber, IsSpacesIfNoneIsSet) {
  TestLun lun;
  lun.identity.identity = Identity{};
  EXPECT_EQ(text(lun.get(vpd(0x80)).data, 4, 8), "        ");
}

struct Designator {
  std::uint8_t code_set;
  std::uint8_t type;
  Bytes body;
};
std::vector<Designator> designators(const Bytes& page) {
  std::vector<Designator> found;
  for (std::size_t at = 4; at < page.size(); at += 4u + page[at + 3]) {
    const auto body = page.begin() + static_cast<std::ptrdiff_t>(at + 4);
    found.push_back({page[at], page[at + 1], Bytes(body, body + page[at + 3])});
  }
  return found;
}

// What tcmu-runner 1.5.4 makes of this serial and config string.
TEST(DeviceIdentification, IsWhatTcmuRunnerMadeOfTheSameSerial) {
  TestLun lun({.config = "file//srv/a.img"});
  const Bytes page = lun.get(vpd(0x83)).data;
  EXPECT_EQ(u16(page, 2) + 4u, page.size());
  const auto found = designators(page);
  ASSERT_EQ(found.size(), 3u);
  EXPECT_EQ(found[0].code_set, 2);
  EXPECT_EQ(found[0].type, 1);  // T10 vendor id
  EXPECT_EQ(text(found[0].body, 0, found[0].body.size()),
            std::string("LIO-ORG 5cf01f8a-3bde-4b37-a6a7-c9f5f8a0e2d1\0", 45));
  EXPECT_EQ(found[1].code_set, 1);
  EXPECT_EQ(found[1].type, 3);  // NAA
  EXPECT_THAT(found[1].body, ElementsAre(0x60, 0x01, 0x40, 0x55, 0xcf, 0x01, 0xf8, 0xa3, 0xbd, 0xe4, 0xb3,
                                         0x7a, 0x6a, 0x7c, 0x9f, 0x5f));
  EXPECT_EQ(found[2].code_set, 2);
  EXPECT_EQ(found[2].type, 0);  // vendor specific
  EXPECT_EQ(text(found[2].body, 0, found[2].body.size()), std::string("file//srv/a.img\0", 16));
}

TEST(DeviceIdentification, WithoutASerialHasNoDesignatorThatOtherLunsWouldShare) {
  TestLun lun;
  lun.identity.identity = Identity{};
  const auto found = designators(lun.get(vpd(0x83)).data);
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].type, 0);
}

// With the longest strings tcmu-runner writes past its 512-byte buffer.
TEST(DeviceIdentification, TheLongestStringsAreCutAndNothingOverflows) {
  TestLun lun({.config = std::string(4096, 'c')});
  lun.identity.identity = Identity{std::string(1000, 'a'), {}, {}, {}};
  const auto found = designators(lun.get(vpd(0x83)).data);
  ASSERT_EQ(found.size(), 3u);
  EXPECT_EQ(found[0].body.size(), 255u);
  EXPECT_EQ(found[2].body.size(), 255u);
  EXPECT_EQ(found[2].body.back(), 0);
}

TEST(DeviceIdentification, AConfigStringThatIsNotAsciiIsMadeSo) {
  TestLun lun({.config = "file//a\n\xc3\xa9"});
  const auto found = designators(lun.get(vpd(0x83)).data);
  EXPECT_EQ(text(found[2].body, 0, found[2].body.size()), std::string("file//a???\0", 11));
}

TEST(NaaDesignator, TakesHexDigitsOfEitherCaseAndSkipsTheRest) {
  EXPECT_THAT(naa_designator("xA-b_zC"),
              ElementsAre(0x60, 0x01, 0x40, 0x5a, 0xbc, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0));
}

TEST(NaaDesignator, StopsAfter25Digits) {
  EXPECT_EQ(naa_designator("1234567890abcdef123456789ff"), naa_designator("1234567890abcdef123456789"));
}

TEST(BlockLimits, TellTheSmallerOfMaxSectorsAndWhatTheChannelCarries) {
  TestLun by_sectors({.max_sectors = 128, .largest_transfer_bytes = 1 << 20});
  EXPECT_EQ(u32(by_sectors.get(vpd(0xb0)).data, 8), 128u);
  EXPECT_EQ(u32(by_sectors.get(vpd(0xb0)).data, 12), 128u);
  TestLun by_channel({.max_sectors = 4096, .largest_transfer_bytes = 1 << 20});
  EXPECT_EQ(u32(by_channel.get(vpd(0xb0)).data, 8), 2048u);
  TestLun unlimited;
  EXPECT_EQ(u32(unlimited.get(vpd(0xb0)).data, 8), 0u);
}

TEST(BlockLimits, TellTheOptimalTransferOfTheDeviceWithinTheMaximum) {
  handler::Geometry geometry;
  geometry.optimal_transfer_bytes = 65536;
  TestLun lun({.geometry = geometry, .max_sectors = 1024});
  EXPECT_EQ(u32(lun.get(vpd(0xb0)).data, 12), 128u);
}

TEST(BlockLimits, TellUnmapLimitsAndGranularityOfADeviceThatDiscards) {
  handler::Geometry geometry = thin();
  geometry.discard_granularity_bytes = 4096;
  geometry.physical_block_bytes = 4096;
  TestLun lun({.geometry = geometry});
  const Bytes page = lun.get(vpd(0xb0)).data;
  EXPECT_EQ(page.size(), 64u);
  EXPECT_EQ(page[4], 0);       // WSNZ
  EXPECT_EQ(page[5], 255);     // MAXIMUM COMPARE AND WRITE LENGTH
  EXPECT_EQ(u16(page, 6), 8);  // OPTIMAL TRANSFER LENGTH GRANULARITY
  EXPECT_EQ(u32(page, 20), 1u << 20);
  EXPECT_EQ(u32(page, 24), 256u);
  EXPECT_EQ(u32(page, 28), 8u);
  EXPECT_EQ(u32(page, 32), 0x80000000u);
  EXPECT_EQ(u32(page, 40), 32768u);  // MAXIMUM WRITE SAME LENGTH: 16 MiB
}

TEST(BlockLimits, TellWhereTheFirstGranuleBegins) {
  handler::Geometry geometry = thin();
  geometry.discard_granularity_bytes = 65536;
  geometry.discard_alignment_bytes = 3584;
  TestLun lun({.geometry = geometry});
  EXPECT_EQ(u32(lun.get(vpd(0xb0)).data, 28), 128u);
  EXPECT_EQ(u32(lun.get(vpd(0xb0)).data, 32), 0x80000007u);
  // Within a block: UGAVALID 0.
  TestLun larger({.block_bytes = 4096, .geometry = geometry});
  EXPECT_EQ(u32(larger.get(vpd(0xb0)).data, 28), 16u);
  EXPECT_EQ(u32(larger.get(vpd(0xb0)).data, 32), 0u);
}

TEST(BlockLimits, TellNoUnmapLimitsOfADeviceThatCannotDiscard) {
  TestLun lun;
  const Bytes page = lun.get(vpd(0xb0)).data;
  EXPECT_EQ(u32(page, 20) | u32(page, 24) | u32(page, 28) | u32(page, 32), 0u);
}

TEST(BlockDeviceCharacteristics, TellOnlyWhatIsKnownNotToRotate) {
  TestLun unknown;
  EXPECT_EQ(u16(unknown.get(vpd(0xb1)).data, 4), 0);
  EXPECT_EQ(unknown.get(vpd(0xb1)).data.size(), 64u);
  handler::Geometry geometry;
  geometry.solid_state = true;
  TestLun solid({.geometry = geometry});
  EXPECT_EQ(u16(solid.get(vpd(0xb1)).data, 4), 1);
}

TEST(BlockDeviceCharacteristics, TellThatVerifyComparesUnmappedBlocksToo) {
  TestLun lun;
  EXPECT_EQ(lun.get(vpd(0xb1)).data[8] & 0x01, 0x01);  // VBULS
}

TEST(BlockDeviceCharacteristics, TellThatFuaMeansStableStorageAndNothingThatNobodyKnows) {
  TestLun lun;
  const Bytes page = lun.get(vpd(0xb1)).data;
  EXPECT_EQ(page[6] | page[7], 0);
  EXPECT_EQ(page[8] & 0x02, 0x02);  // FUAB
  EXPECT_EQ(page[8] & 0x30, 0);     // ZONED: not reported
}

// smartctl asks for it before a self-test; sg_vpd shows it.
TEST(ExtendedInquiry, PromisesSimpleTasksTheCacheAndAllTheSenseDataThatTheKernelPassesOn) {
  TestLun lun;
  const Bytes page = lun.get(vpd(0x86)).data;
  ASSERT_EQ(page.size(), 64u);
  EXPECT_EQ(page[4], 0);
  EXPECT_EQ(page[5], 0x01);  // SIMPSUP
  EXPECT_EQ(page[6], 0x01);  // V_SUP
  EXPECT_EQ(page[13], 96);
  handler::Geometry geometry;
  geometry.write_cache = false;
  TestLun uncached({.geometry = geometry});
  EXPECT_EQ(uncached.get(vpd(0x86)).data[6], 0x00);
}

TEST(ModePagePolicy, IsThatAllPagesAreShared) {
  TestLun lun;
  EXPECT_THAT(lun.get(vpd(0x87)).data, ElementsAre(0, 0x87, 0, 4, 0x3f, 0xff, 0x00, 0));
}

TEST(SupportedBlockLengths, AreTheOneThatItHasWithoutProtection) {
  TestLun lun({.block_bytes = 4096});
  EXPECT_THAT(lun.get(vpd(0xb4)).data, ElementsAre(0, 0xb4, 0, 8, 0, 0, 0x10, 0, 0, 0x01, 0, 0));
}

TEST(LogicalBlockProvisioning, PromisesWhatTheDeviceCan) {
  TestLun thick;
  EXPECT_THAT(thick.get(vpd(0xb2)).data, ElementsAre(0, 0xb2, 0, 4, 0, 0x00, 0x00, 0));
  TestLun zeroing({.geometry = thin()});
  EXPECT_THAT(zeroing.get(vpd(0xb2)).data, ElementsAre(0, 0xb2, 0, 4, 0, 0xe4, 0x02, 0));
  handler::Geometry geometry = thin();
  geometry.discard_zeroes = false;
  TestLun leaving({.geometry = geometry});
  EXPECT_THAT(leaving.get(vpd(0xb2)).data, ElementsAre(0, 0xb2, 0, 4, 0, 0xe0, 0x02, 0));
}

// Write protection may end; what the device can do does not change by it.
TEST(LogicalBlockProvisioning, IsTheSameOfAWriteProtectedDevice) {
  TestLun lun({.geometry = read_only()});
  EXPECT_THAT(lun.get(vpd(0xb2)).data, ElementsAre(0, 0xb2, 0, 4, 0, 0xe4, 0x02, 0));
  EXPECT_EQ(lun.get({0x9e, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32, 0, 0}).data[14], 0xc0);  // LBPME, LBPRZ
}

}  // namespace
}  // namespace bulkhead::scsi
