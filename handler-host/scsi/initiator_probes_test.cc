// What the initiators that matter ask a new disk, and what they conclude from the answers. Each test is one
// initiator's questions in its order; what it would switch off for a wrong answer is named beside the line.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/endian.h"
#include "handler-host/scsi/testing/test_lun.h"

namespace bulkhead::scsi {
namespace {

using namespace testing;
using ::testing::Contains;

std::uint16_t u16(const Bytes& bytes, std::size_t at) {
  return be16(std::span<const std::uint8_t, 2>(&bytes.at(at), 2));
}
std::uint32_t u32(const Bytes& bytes, std::size_t at) {
  return be32(std::span<const std::uint8_t, 4>(&bytes.at(at), 4));
}
std::uint64_t u64(const Bytes& bytes, std::size_t at) {
  return be64(std::span<const std::uint8_t, 8>(&bytes.at(at), 8));
}

Bytes page(TestLun& lun, std::uint8_t number) {
  const Answer answer = lun.get(vpd(number));
  EXPECT_THAT(answer.reply, IsGood()) << "VPD page " << int{number};
  return answer.data;
}

bool supports(TestLun& lun, std::uint8_t opcode, std::uint16_t service_action) {
  const Answer answer = lun.get({0xa3, 0x0c, 0x03, opcode, static_cast<std::uint8_t>(service_action >> 8),
                                 static_cast<std::uint8_t>(service_action), 0, 0, 0, 64, 0, 0});
  EXPECT_THAT(answer.reply, IsGood());
  return (answer.data.at(1) & 0x07) == 3;
}

LunShape large() {
  handler::Geometry geometry = thin();
  geometry.discard_granularity_bytes = 4096;
  geometry.physical_block_bytes = 4096;
  geometry.atomic_write_bytes = 4096;
  geometry.tells_space = true;
  return {.blocks = BlockCount{65536},
          .geometry = geometry,
          .room = handler::Space{.used = {1 << 20}, .available = {1 << 30}}};
}

// drivers/scsi/scsi_scan.c, scsi.c and sd.c of Linux 6.1 to 6.14.
TEST(InitiatorProbes, LinuxFindsDiscardWriteZeroesFuaAndAtomicWrites) {
  TestLun lun(large());
  EXPECT_THAT(lun.get({0x12, 0, 0, 0, 36, 0}).reply, IsGood());
  EXPECT_THAT(lun.get({0x12, 0, 0, 0, 96, 0}).reply, IsGood());
  EXPECT_THAT(page(lun, 0x00), ::testing::IsSupersetOf({0x80, 0x83, 0xb0, 0xb1, 0xb2}));
  page(lun, 0x80);
  page(lun, 0x83);

  const Answer capacity = lun.get({0x9e, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32, 0, 0});
  EXPECT_EQ(u64(capacity.data, 0), 65535u);
  EXPECT_EQ(capacity.data[14] & 0xc0, 0xc0);  // LBPME and LBPRZ: no discard without them
  EXPECT_EQ(capacity.data[13] & 0x0f, 3);     // physical blocks of 4096 bytes

  const Bytes limits = page(lun, 0xb0);
  ASSERT_GE(limits.size(), 64u);   // LBPME: sd reads up to byte 63 for atomic writes
  EXPECT_GT(u32(limits, 20), 0u);  // MAXIMUM UNMAP LBA COUNT
  EXPECT_GT(u32(limits, 24), 0u);
  EXPECT_EQ(u32(limits, 28), 8u);                 // OPTIMAL UNMAP GRANULARITY
  EXPECT_GT(u64(limits, 36), 0u);                 // MAXIMUM WRITE SAME LENGTH
  EXPECT_GT(u32(limits, 44), 0u);                 // MAXIMUM ATOMIC TRANSFER LENGTH
  EXPECT_EQ(page(lun, 0xb2).at(5) & 0xe4, 0xe4);  // LBPU, LBPWS, LBPWS10, LBPRZ

  EXPECT_THAT(lun.get({0x1a, 0, 0x3f, 0, 4, 0}).reply, IsGood());  // write protect
  const Answer caching = lun.get({0x1a, 0, 0x08, 0, 192, 0});
  EXPECT_EQ(caching.data.at(2) & 0x10, 0x10);          // DPOFUA
  EXPECT_EQ(caching.data.at(4 + 8 + 2) & 0x04, 0x04);  // WCE
  EXPECT_TRUE(supports(lun, 0x93, 0));                 // write zeroes by WRITE SAME(16)
  EXPECT_TRUE(supports(lun, 0x9c, 0));                 // WRITE ATOMIC(16)

  EXPECT_THAT(lun.put(unmap_cdb(24), unmap_list({{8, 4096}})), IsGood());
  EXPECT_THAT(lun.put(write_same16(Lba{0}, BlockCount{8}, 0x08), lun.block_of(0)), IsGood());
}

// VAAI of ESXi: ATS, Clone, Zero, Delete, as `esxcli storage core device vaai status get` shows them.
TEST(InitiatorProbes, VmwareFindsAtsCloneZeroAndDelete) {
  TestLun lun(large());
  lun.fill(Lba{0}, BlockCount{2}, 0x11);
  EXPECT_GE(page(lun, 0xb0).at(5), 1);  // ATS: MAXIMUM COMPARE AND WRITE LENGTH of a block or more
  // ATS: one block, with the content that is there, then with one that is not.
  Bytes ats(16);
  ats[0] = 0x89;
  ats[13] = 1;
  Bytes both(1024, 0x11);
  std::fill(both.begin() + 512, both.end(), std::uint8_t{0x22});
  EXPECT_THAT(lun.put(ats, both), IsGood());
  EXPECT_THAT(lun.put(ats, both), HasSense(SenseKey::Miscompare, asc::kMiscompare));

  // Clone: the limits of EXTENDED COPY.
  EXPECT_EQ(lun.get({0x12, 0, 0, 0, 36, 0}).data.at(5) & 0x08, 0x08);  // 3PC
  const Answer limits = lun.get({0x84, 0x03, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0});
  ASSERT_THAT(limits.reply, IsGood());
  EXPECT_GE(u16(limits.data, 8), 2);   // MAXIMUM CSCD DESCRIPTOR COUNT: source and destination
  EXPECT_GE(u16(limits.data, 10), 1);  // MAXIMUM SEGMENT DESCRIPTOR COUNT

  // Zero: WRITE SAME(16) of a block of zeroes, 1 MiB.
  EXPECT_THAT(lun.put(write_same16(Lba{0}, BlockCount{2048}), lun.block_of(0)), IsGood());
  // Delete: UNMAP in pieces of 1 MiB.
  EXPECT_GE(u32(page(lun, 0xb0), 20), 2048u);
  EXPECT_EQ(page(lun, 0xb2).at(5) & 0x80, 0x80);
  EXPECT_THAT(lun.put(unmap_cdb(24), unmap_list({{0, 2048}})), IsGood());
}

// Windows Server: thin provisioning (storage management API) and offloaded data transfer.
TEST(InitiatorProbes, WindowsFindsThinProvisioningAndOffloadedDataTransfer) {
  TestLun lun(large());
  const Bytes pages = page(lun, 0x00);
  EXPECT_THAT(pages, Contains(0x8f));
  const Bytes provisioning = page(lun, 0xb2);
  EXPECT_EQ(provisioning.at(6) & 0x07, 0x02);  // thin
  EXPECT_EQ(provisioning.at(5) & 0x80, 0x80);
  EXPECT_NE(u32(page(lun, 0xb0), 32) & 0x80000000, 0u);  // UGAVALID
  EXPECT_THAT(lun.get({0x9e, 0x12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0}).reply,
              IsGood());  // GET LBA STATUS
  // LOG SENSE, Logical Block Provisioning: how much is used.
  EXPECT_THAT(lun.get({0x4d, 0, 0x4c, 0, 0, 0, 0, 1, 0, 0}).reply, IsGood());
  EXPECT_TRUE(supports(lun, 0x83, 0x10));  // POPULATE TOKEN
  EXPECT_TRUE(supports(lun, 0x83, 0x11));  // WRITE USING TOKEN
  EXPECT_TRUE(supports(lun, 0x84, 0x07));  // RECEIVE ROD TOKEN INFORMATION
}

}  // namespace
}  // namespace bulkhead::scsi
