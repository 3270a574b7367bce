// What must hold for every row of the table, whatever the command.
#include "handler-host/scsi/opcode_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "handler-host/scsi/device_type.h"
#include "handler-host/scsi/testing/test_lun.h"

namespace bulkhead::scsi {
namespace {

using testing::Bytes;
using testing::HasSense;
using testing::LunShape;
using testing::PointsAtCdb;
using testing::TestLun;

Bytes plain_cdb(const OpcodeRow& row) {
  Bytes cdb(row.cdb_bytes());
  cdb[0] = row.opcode;
  if (row.has_service_action()) cdb[1] = static_cast<std::uint8_t>(row.service_action);
  return cdb;
}

std::string name_of(const OpcodeRow& row) {
  return std::string(find_command_name(row.opcode, row.service_action)->name);
}

TEST(OpcodeTable, EveryReservedBitOfEveryCommandIsRefusedWithAPointerToIt) {
  TestLun lun({.geometry = testing::able()});
  std::size_t bits = 0;
  for (const OpcodeRow& row : disk().opcodes) {
    for (std::size_t byte = 1; byte < row.cdb_bytes(); ++byte) {
      for (unsigned bit = 0; bit < 8; ++bit) {
        const auto mask = static_cast<std::uint8_t>(1u << bit);
        if ((row.usage[byte] & mask) != 0) continue;
        if (byte == 1 && (row.special.ignored_bits & mask) != 0) continue;
        if (byte == 1 && row.has_service_action() && bit < 5) continue;
        Bytes cdb = plain_cdb(row);
        cdb[byte] |= mask;
        const Reply reply = lun.run(cdb);
        EXPECT_THAT(reply, HasSense(SenseKey::IllegalRequest, asc::kInvalidFieldInCdb))
            << name_of(row) << " byte " << byte << " bit " << bit;
        EXPECT_THAT(reply, PointsAtCdb(static_cast<int>(byte), static_cast<int>(bit))) << name_of(row);
        ++bits;
      }
    }
  }
  EXPECT_GT(bits, 500u);
  EXPECT_TRUE(lun.device.ops.empty());
}

TEST(OpcodeTable, EveryOpcodeThatHasNoRowIsAnInvalidOpcode) {
  TestLun lun({.geometry = testing::thin()});
  for (unsigned opcode = 0; opcode < 256; ++opcode) {
    if (!rows_of(disk().opcodes, static_cast<std::uint8_t>(opcode)).empty()) continue;
    Bytes cdb(opcode == 0x7f ? 32 : cdb_length(static_cast<std::uint8_t>(opcode), 0));
    cdb[0] = static_cast<std::uint8_t>(opcode);
    const Reply reply = lun.run(cdb);
    EXPECT_THAT(reply, HasSense(SenseKey::IllegalRequest, asc::kInvalidOpcode)) << opcode;
    EXPECT_THAT(reply, PointsAtCdb(0)) << opcode;
  }
}

TEST(OpcodeTable, AnUnknownServiceActionOfAKnownOpcodeIsAnInvalidField) {
  TestLun lun;
  for (const std::uint8_t opcode :
       {std::uint8_t{0x83}, std::uint8_t{0x84}, std::uint8_t{0x9e}, std::uint8_t{0xa3}}) {
    Bytes cdb(cdb_length(opcode, 0));
    cdb[0] = opcode;
    cdb[1] = 0x1f;
    const Reply reply = lun.run(cdb);
    EXPECT_THAT(reply, HasSense(SenseKey::IllegalRequest, asc::kInvalidFieldInCdb));
    EXPECT_THAT(reply, PointsAtCdb(1, 4));
  }
}

TEST(OpcodeTable, EveryCommandThatWritesIsRefusedByAReadOnlyDevice) {
  handler::Geometry geometry = testing::able();
  geometry.read_only = true;
  TestLun lun({.geometry = geometry});
  std::set<std::string> refused;
  for (const OpcodeRow& row : disk().opcodes) {
    if (row.access != Access::Writes) continue;
    EXPECT_THAT(lun.run(plain_cdb(row)), HasSense(SenseKey::DataProtect, asc::kWriteProtected))
        << name_of(row);
    refused.insert(name_of(row));
  }
  EXPECT_THAT(refused, ::testing::UnorderedElementsAre(
                           "WRITE(6)", "WRITE(10)", "WRITE(12)", "WRITE(16)", "WRITE AND VERIFY(10)",
                           "WRITE AND VERIFY(12)", "WRITE AND VERIFY(16)", "COMPARE AND WRITE", "ORWRITE(16)",
                           "WRITE ATOMIC(16)", "WRITE SAME(10)", "WRITE SAME(16)", "UNMAP",
                           "SANITIZE OVERWRITE", "SANITIZE BLOCK ERASE", "EXTENDED COPY(LID1)",
                           "EXTENDED COPY(LID4)", "FORMAT UNIT", "WRITE USING TOKEN"));
  EXPECT_TRUE(lun.device.ops.empty());
}

TEST(OpcodeTable, WhatNeedsDiscardIsUnknownToADeviceThatCannot) {
  TestLun lun;
  EXPECT_THAT(lun.run(testing::unmap_cdb(0)), HasSense(SenseKey::IllegalRequest, asc::kInvalidOpcode));
  for (const Bytes& cdb : {testing::write_same10(Lba{0}, BlockCount{1}, 0x08),
                           testing::write_same16(Lba{0}, BlockCount{1}, 0x08)}) {
    const Reply reply = lun.put(cdb, lun.block_of(0));
    EXPECT_THAT(reply, HasSense(SenseKey::IllegalRequest, asc::kInvalidFieldInCdb));
    EXPECT_THAT(reply, PointsAtCdb(1, 3));
  }
}

TEST(OpcodeTable, ACdbShorterThanItsOpcodeSaysIsRefused) {
  TestLun lun;
  EXPECT_THAT(lun.run({0x28, 0, 0}), HasSense(SenseKey::IllegalRequest, asc::kInvalidFieldInCdb));
  EXPECT_THAT(lun.run({}), HasSense(SenseKey::IllegalRequest, asc::kInvalidOpcode));
}

TEST(OpcodeTable, TheScsi2LunFieldOfOldCommandsIsIgnored) {
  TestLun lun;
  EXPECT_THAT(lun.get({0x12, 0x60, 0, 0, 36, 0}).reply, testing::IsGood());
  EXPECT_THAT(lun.run({0x00, 0xe0, 0, 0, 0, 0}), testing::IsGood());
}

}  // namespace
}  // namespace bulkhead::scsi
