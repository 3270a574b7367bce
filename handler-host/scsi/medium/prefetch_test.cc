#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "handler-host/scsi/testing/test_lun.h"

namespace bulkhead::scsi {
namespace {

using namespace testing;
using ::testing::IsEmpty;

constexpr std::uint8_t kImmed = 0x02;

class PreFetch : public ::testing::TestWithParam<std::uint8_t> {};
INSTANTIATE_TEST_SUITE_P(Forms, PreFetch, ::testing::Values(0x34, 0x90));

// CONDITION MET would say that the blocks are cached.
TEST_P(PreFetch, IsGoodAsNothingWasCached) {
  TestLun lun({.blocks = BlockCount{70'000}});
  for (const std::uint64_t blocks : {0, 1, 256, 65'535})
    for (const std::uint8_t flags : {std::uint8_t{0}, kImmed})
      EXPECT_THAT(lun.run(extent_cdb(GetParam(), Lba{4}, BlockCount{blocks}, flags)), IsGood()) << blocks;
  EXPECT_THAT(lun.device.ops, IsEmpty());
}

TEST_P(PreFetch, PastTheLastBlockFailsAlsoForNoBlocks) {
  TestLun lun({.blocks = BlockCount{64}});
  EXPECT_THAT(lun.run(extent_cdb(GetParam(), Lba{63}, BlockCount{1})), IsGood());
  const Reply reply = lun.run(extent_cdb(GetParam(), Lba{63}, BlockCount{2}, kImmed));
  EXPECT_THAT(reply, HasSense(SenseKey::IllegalRequest, asc::kLbaOutOfRange));
  EXPECT_THAT(reply, PointsAtCdb(2));
  EXPECT_THAT(lun.run(extent_cdb(GetParam(), Lba{65}, BlockCount{0})),
              HasSense(SenseKey::IllegalRequest, asc::kLbaOutOfRange));
}

TEST_P(PreFetch, IsNoWrite) {
  TestLun lun({.geometry = read_only()});
  EXPECT_THAT(lun.run(extent_cdb(GetParam(), Lba{0}, BlockCount{1})), IsGood());
}

}  // namespace
}  // namespace bulkhead::scsi
