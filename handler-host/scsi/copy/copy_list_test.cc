// What is refused of the parameter list of EXTENDED COPY, before anything moves.
#include "handler-host/scsi/copy/copy_list.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "handler-host/scsi/testing/copy_lists.h"
#include "handler-host/scsi/testing/test_lun.h"

namespace bulkhead::scsi {
namespace {

using namespace testing;
using ::testing::IsEmpty;

constexpr int kCscdAt = 16;
constexpr int kSegmentAt = 16 + 32;

Reply put_lid1(TestLun& lun, const Bytes& list) {
  return lun.put(extended_copy_cdb(static_cast<std::uint32_t>(list.size())), list);
}
Reply put_lid4(TestLun& lun, const Bytes& list) {
  return lun.put(extended_copy_cdb(static_cast<std::uint32_t>(list.size()), kLid4), list);
}

// iscsi-test-cu ParamHdr.
TEST(ExtendedCopyList, CutAnywhereIsALengthError) {
  TestLun lun;
  const Bytes list = lid1_list({.segments = {segment(Lba{0}, Lba{8}, 1)}});
  for (std::uint32_t bytes = 1; bytes < list.size(); ++bytes) {
    EXPECT_THAT(lun.put(extended_copy_cdb(bytes), list),
                HasSense(SenseKey::IllegalRequest, asc::kParameterListLengthError))
        << bytes;
  }
  const Bytes longer = lid4_list({.segments = {segment(Lba{0}, Lba{8}, 1)}});
  for (std::uint32_t bytes = 1; bytes < longer.size(); ++bytes) {
    EXPECT_THAT(lun.put(extended_copy_cdb(bytes, kLid4), longer),
                HasSense(SenseKey::IllegalRequest, asc::kParameterListLengthError))
        << bytes;
  }
}

TEST(ExtendedCopyList, ALengthBeyondWhatWasSentIsRefused) {
  TestLun lun;
  const Bytes list = lid1_list({.segments = {segment(Lba{0}, Lba{8}, 1)}});
  for (const std::uint32_t bytes : {static_cast<std::uint32_t>(list.size() + 1), 0xffffffffu}) {
    EXPECT_THAT(lun.put(extended_copy_cdb(bytes), list),
                HasSense(SenseKey::IllegalRequest, asc::kInvalidFieldInInformationUnit));
  }
}

TEST(ExtendedCopyList, ASegmentDescriptorThatItsListCutsIsALengthError) {
  TestLun lun;
  Bytes list = lid1_list({.segments = {segment(Lba{0}, Lba{8}, 1)}});
  store(list, 8, 4, 27);
  EXPECT_THAT(put_lid1(lun, list), HasSense(SenseKey::IllegalRequest, asc::kParameterListLengthError));
}

// iscsi-test-cu DescrLimits, whose third case wants the list's length to count first.
TEST(ExtendedCopyList, LimitsAreHeldAndEachHasItsCode) {
  TestLun lun;
  const Bytes one = segment(Lba{0}, Lba{8}, 1);
  EXPECT_THAT(
      copy_now(lun, {.cscds = std::vector<Bytes>(16, cscd()), .segments = std::vector<Bytes>(16, one)}),
      IsGood());
  Reply reply = copy_now(lun, {.cscds = std::vector<Bytes>(17, cscd()), .segments = {one}});
  EXPECT_THAT(reply, HasSense(SenseKey::IllegalRequest, asc::kTooManyTargetDescriptors));
  EXPECT_THAT(reply, PointsAtList(2));
  reply = copy_now(lun, {.segments = std::vector<Bytes>(17, one)});
  EXPECT_THAT(reply, HasSense(SenseKey::IllegalRequest, asc::kTooManySegmentDescriptors));
  EXPECT_THAT(reply, PointsAtList(kSegmentAt + 16 * 28));
  EXPECT_THAT(
      copy_now(lun, {.cscds = std::vector<Bytes>(17, cscd()), .segments = std::vector<Bytes>(18, one)}),
      HasSense(SenseKey::IllegalRequest, asc::kParameterListLengthError));
}

// iscsi-test-cu DescrType.
TEST(ExtendedCopyList, UnsupportedDescriptorTypesHaveTheirCodes) {
  TestLun lun;
  Bytes port = cscd();
  port[0] = 0xe0;
  Reply reply = copy_now(lun, {.cscds = {cscd(), port}, .segments = {segment(Lba{0}, Lba{8}, 1)}});
  EXPECT_THAT(reply, HasSense(SenseKey::IllegalRequest, asc::kUnsupportedTargetDescriptor));
  EXPECT_THAT(reply, PointsAtList(kCscdAt + 32));
  Bytes stream = segment(Lba{0}, Lba{8}, 1);
  stream[0] = 0x03;
  reply = copy_now(lun, {.segments = {segment(Lba{0}, Lba{8}, 1), stream}});
  EXPECT_THAT(reply, HasSense(SenseKey::IllegalRequest, asc::kUnsupportedSegmentDescriptor));
  EXPECT_THAT(reply, PointsAtList(kSegmentAt + 28));
}

struct WrongField {
  std::string what;
  bool lid4;
  std::size_t at;
  std::uint8_t value;
  int points_at;
};
class ExtendedCopyWrongField : public ::testing::TestWithParam<WrongField> {};

TEST_P(ExtendedCopyWrongField, IsRefusedWithAPointerToIt) {
  const WrongField& wrong = GetParam();
  TestLun lun;
  const ListShape shape{.segments = {segment(Lba{0}, Lba{8}, 1)}};
  Bytes list = wrong.lid4 ? lid4_list(shape) : lid1_list(shape);
  ASSERT_NE(list.at(wrong.at), wrong.value);
  list.at(wrong.at) = wrong.value;
  const Reply reply = wrong.lid4 ? put_lid4(lun, list) : put_lid1(lun, list);
  EXPECT_THAT(reply, HasSense(SenseKey::IllegalRequest, asc::kInvalidFieldInParameterList));
  EXPECT_THAT(reply, PointsAtList(wrong.points_at));
  EXPECT_THAT(lun.device.ops, IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(
    Fields, ExtendedCopyWrongField,
    ::testing::Values(WrongField{"ReservedUsage", false, 1, 0x08, 1},
                      WrongField{"IdentifierThatUsageSaysIsNone", false, 1, 0x18, 0},
                      WrongField{"CscdListOfHalfADescriptor", false, 3, 16, 2},
                      WrongField{"DesignatorBeyondItsDescriptor", false, 16 + 7, 21, 16 + 7},
                      WrongField{"FastCopyOnly", false, 48 + 1, 0x04, 48 + 1},
                      WrongField{"LengthOfASegmentDescriptor", false, 48 + 3, 23, 48 + 2},
                      WrongField{"Lid4Format", true, 0, 0x00, 0},
                      WrongField{"Lid4HeaderLength", true, 3, 0x21, 2},
                      WrongField{"Lid4Immed", true, 15, 0x01, 15},
                      WrongField{"Lid4GSense", true, 15, 0x02, 15},
                      WrongField{"Lid4HeaderType", true, 16, 0xfe, 16},
                      WrongField{"Lid4IdentifierThatUsageSaysIsNone", true, 1, 0x18, 20}),
    [](const auto& tested) { return tested.param.what; });

TEST(ExtendedCopyList, InlineDataAreMoreThanAreTaken) {
  TestLun lun;
  Bytes list = lid1_list({.segments = {segment(Lba{0}, Lba{8}, 1)}});
  store(list, 12, 4, 1);
  const Reply reply = put_lid1(lun, list);
  EXPECT_THAT(reply, HasSense(SenseKey::IllegalRequest, asc::kInlineDataLengthExceeded));
  EXPECT_THAT(reply, PointsAtList(12));
}

TEST(ExtendedCopyList, ASegmentLongerThanTheMaximumIsRefused) {
  TestLun lun({.blocks = BlockCount{70'000}});
  EXPECT_THAT(copy_now(lun, {.segments = {segment(Lba{0}, Lba{32'768}, 32'768)}}), IsGood());
  EXPECT_THAT(copy_now(lun, {.segments = {offset_segment(Lba{0}, Lba{32'768}, kMaxSegmentBytes)}}), IsGood());
  const Reply reply = copy_now(lun, {.segments = {segment(Lba{0}, Lba{32'768}, 32'769)}});
  EXPECT_THAT(reply, HasSense(SenseKey::IllegalRequest, asc::kInvalidFieldInParameterList));
  EXPECT_THAT(reply, PointsAtList(kSegmentAt + 10));
}

}  // namespace
}  // namespace bulkhead::scsi
