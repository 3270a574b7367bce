// What is refused of the parameter lists of POPULATE TOKEN and WRITE USING TOKEN.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "handler-host/scsi/testing/copy_lists.h"
#include "handler-host/scsi/testing/test_lun.h"

namespace bulkhead::scsi {
namespace {

using namespace testing;
using ::testing::IsEmpty;

constexpr std::uint32_t kId = 0x11223344;

Reply populate(TestLun& lun, const Bytes& list, std::uint32_t id = kId) {
  return lun.put(token_cdb(kPopulate, id, list.size()), list);
}

class TokenList : public ::testing::TestWithParam<std::uint8_t> {
 protected:
  static Bytes list_of(const Ranges& ranges) {
    return GetParam() == kPopulate ? populate_list(ranges) : write_using_list(zero_token(), ranges);
  }
  static Reply put(TestLun& lun, const Bytes& list) {
    return lun.put(token_cdb(GetParam(), kId, list.size()), list);
  }
  static int header() { return GetParam() == kPopulate ? 16 : 536; }
};
INSTANTIATE_TEST_SUITE_P(Both, TokenList, ::testing::Values(kPopulate, kWriteUsing));

TEST_P(TokenList, NoListIsGood) {
  TestLun lun;
  EXPECT_THAT(lun.put(token_cdb(GetParam(), kId, 0)), IsGood());
}

TEST_P(TokenList, CutAnywhereIsALengthError) {
  TestLun lun;
  const Bytes list = list_of({{0, 1}});
  for (std::size_t bytes = 1; bytes < list.size(); ++bytes) {
    EXPECT_THAT(lun.put(token_cdb(GetParam(), kId, bytes), list),
                HasSense(SenseKey::IllegalRequest, asc::kParameterListLengthError))
        << bytes;
  }
  EXPECT_THAT(lun.put(token_cdb(GetParam(), kId, list.size() + 1), list),
              HasSense(SenseKey::IllegalRequest, asc::kInvalidFieldInInformationUnit));
}

TEST_P(TokenList, WrongFieldsAreRefusedWithAPointer) {
  TestLun lun;
  const auto refused_at = [&lun](Bytes list, std::size_t at, std::size_t width, std::uint64_t value) {
    store(list, at, width, value);
    const Reply reply = put(lun, list);
    EXPECT_THAT(reply, HasSense(SenseKey::IllegalRequest, asc::kInvalidFieldInParameterList));
    return reply.sense[16] << 8 | reply.sense[17];
  };
  const Bytes list = list_of({{0, 1}});
  const auto length = static_cast<std::size_t>(header() - 2);
  EXPECT_EQ(refused_at(list, 0, 2, static_cast<std::uint64_t>(header() + 13)), 0);
  EXPECT_EQ(refused_at(list, 2, 1, 0x01), 2);  // IMMED
  EXPECT_EQ(refused_at(list, 2, 1, 0x04), 2);
  for (const std::uint64_t bytes : {0u, 15u, 17u, 32u})
    EXPECT_EQ(refused_at(list, length, 2, bytes), header() - 2);
}

TEST_P(TokenList, RangesAreCheckedBeforeAnythingIsDone) {
  TestLun lun({.blocks = BlockCount{64}});
  Reply reply = put(lun, list_of({{0, 1}, {63, 2}}));
  EXPECT_THAT(reply, HasSense(SenseKey::IllegalRequest, asc::kLbaOutOfRange));
  EXPECT_THAT(reply, PointsAtList(header() + 16));
  reply = put(lun, list_of({{~0ull, 2}}));
  EXPECT_THAT(reply, HasSense(SenseKey::IllegalRequest, asc::kLbaOutOfRange));
  reply = put(lun, list_of({{8, 2}, {0, 1}, {9, 1}}));
  EXPECT_THAT(reply, HasSense(SenseKey::IllegalRequest, asc::kInvalidFieldInParameterList));
  EXPECT_THAT(reply, PointsAtList(header() + 32));
  EXPECT_THAT(lun.device.ops, IsEmpty());
}

TEST_P(TokenList, LimitsAreHeld) {
  TestLun lun({.blocks = BlockCount{140'000}});
  EXPECT_THAT(put(lun, list_of({{0, 131'072}})), IsGood());
  Reply reply = put(lun, list_of({{0, 131'071}, {139'000, 2}}));
  EXPECT_THAT(reply, HasSense(SenseKey::IllegalRequest, asc::kInvalidFieldInParameterList));
  EXPECT_THAT(reply, PointsAtList(header() + 16 + 8));
  Ranges ranges;
  for (std::uint64_t i = 0; i < 33; ++i) ranges.emplace_back(i, 1);
  reply = put(lun, list_of(ranges));
  EXPECT_THAT(reply, HasSense(SenseKey::IllegalRequest, asc::kTooManySegmentDescriptors));
  EXPECT_THAT(reply, PointsAtList(header() - 2));
  ranges.pop_back();
  EXPECT_THAT(put(lun, list_of(ranges)), IsGood());
}

TEST(PopulateTokenList, TypeAndTimeoutAreThoseThatAreTold) {
  TestLun lun;
  Bytes list = populate_list({{0, 1}});
  store(list, 8, 4, 0x00010000);
  EXPECT_THAT(populate(lun, list), IsGood());  // no RTV
  list[2] = 0x02;
  EXPECT_THAT(populate(lun, list), PointsAtList(8));
  for (const std::uint32_t type : {0x00800001u, 0x0080ffffu}) {
    store(list, 8, 4, type);
    EXPECT_THAT(populate(lun, list), IsGood());
  }
  store(list, 4, 4, 600);
  EXPECT_THAT(populate(lun, list), IsGood());
  store(list, 4, 4, 601);
  EXPECT_THAT(populate(lun, list), PointsAtList(4));
}

}  // namespace
}  // namespace bulkhead::scsi
