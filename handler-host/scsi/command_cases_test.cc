// What every command must pass, whatever it does: the cases of testing/command_cases.cc, one test per row of
// the opcode table. A row without a case, or with one that lacks what its kind needs, fails.
#include "handler-host/scsi/testing/command_cases.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "handler-host/scsi/device_type.h"

namespace bulkhead::scsi {
namespace {

using namespace testing;

std::string name_of(const OpcodeRow& row) {
  std::string name;
  const std::string_view full = find_command_name(row.opcode, row.service_action)->name;
  for (const char c : full)
    if (std::isalnum(static_cast<unsigned char>(c)) != 0) name += c;
  return name;
}

const CommandCase* case_of(const OpcodeRow& row) {
  const auto cases = command_cases();
  const auto found = std::ranges::find_if(cases, [&row](const CommandCase& one) {
    return one.opcode == row.opcode && one.service_action == row.service_action;
  });
  return found == cases.end() ? nullptr : &*found;
}

bool has_lba(const OpcodeRow& row) {
  return find_command_name(row.opcode, row.service_action)->operand == Operand::Extent;
}

class Command : public ::testing::TestWithParam<OpcodeRow> {
 protected:
  void SetUp() override { ASSERT_NE(case_of(GetParam()), nullptr) << "no case in testing/command_cases.cc"; }
  static Reply send(TestLun& lun, const Sent& sent) {
    if (GetParam().direction == channel::Direction::In) return lun.get(sent.cdb).reply;
    return lun.put(sent.cdb, sent.data_out);
  }
  static void prepare(TestLun& lun, const CommandCase& one) {
    if (one.before) lun.put(one.before->cdb, one.before->data_out);
    lun.device.ops.clear();
  }
};
INSTANTIATE_TEST_SUITE_P(Disk, Command, ::testing::ValuesIn(disk().opcodes.begin(), disk().opcodes.end()),
                         [](const auto& row) { return name_of(row.param); });

TEST_P(Command, Succeeds) {
  TestLun lun({.blocks = kCaseBlocks, .geometry = able()});
  const CommandCase& one = *case_of(GetParam());
  prepare(lun, one);
  const Reply reply = send(lun, one.good);
  EXPECT_THAT(reply, IsGood());
  EXPECT_EQ(reply.data_bytes, one.data_in_bytes);
}

TEST_P(Command, BeyondTheLastBlockIsRefusedAndTouchesNothing) {
  const CommandCase& one = *case_of(GetParam());
  ASSERT_TRUE(one.beyond_end || !has_lba(GetParam())) << "the case lacks beyond_end";
  if (!one.beyond_end) return;
  TestLun lun({.blocks = kCaseBlocks, .geometry = able()});
  EXPECT_THAT(send(lun, *one.beyond_end), HasSense(SenseKey::IllegalRequest, asc::kLbaOutOfRange));
  EXPECT_TRUE(lun.device.ops.empty());
}

TEST_P(Command, LessDataThanAnnouncedIsRefusedAndTouchesNothing) {
  const CommandCase& one = *case_of(GetParam());
  ASSERT_TRUE(one.too_little_data || one.good.data_out.empty()) << "the case lacks too_little_data";
  if (!one.too_little_data) return;
  TestLun lun({.blocks = kCaseBlocks, .geometry = able()});
  const Reply reply = send(lun, *one.too_little_data);
  EXPECT_EQ(reply.status, 0x02);
  EXPECT_EQ(sense_key(reply), static_cast<std::uint8_t>(SenseKey::IllegalRequest));
  // SKSV, but for a list whose length no field of the CDB tells, and for what the transport got wrong.
  const bool no_field =
      GetParam().opcode == 0x04 || sense_code(reply) == asc::kInvalidFieldInInformationUnit.number();
  EXPECT_EQ((reply.sense[15] & 0x80) != 0, !no_field);
  EXPECT_TRUE(lun.device.ops.empty());
}

TEST_P(Command, OnAReadOnlyDeviceWritesAreRefusedAndAllElseSucceeds) {
  handler::Geometry geometry = able();
  geometry.read_only = true;
  TestLun lun({.blocks = kCaseBlocks, .geometry = geometry});
  const CommandCase& one = *case_of(GetParam());
  const Reply reply = send(lun, one.good);
  if (GetParam().access == Access::Writes) {
    EXPECT_THAT(reply, HasSense(SenseKey::DataProtect, asc::kWriteProtected));
  } else if (!one.before) {
    EXPECT_THAT(reply, IsGood());
  }
  EXPECT_TRUE(std::ranges::none_of(lun.device.ops, [](const Op& op) {
    return op.kind == OpKind::Write || op.kind == OpKind::Discard || op.kind == OpKind::WriteZeroes;
  }));
}

TEST_P(Command, IsReportedAsSupportedWithItsUsageMap) {
  const OpcodeRow& row = GetParam();
  TestLun lun({.blocks = kCaseBlocks, .geometry = able()});
  const auto action = static_cast<std::uint8_t>(row.has_service_action() ? row.service_action : 0);
  const Answer answer = lun.get({0xa3, 0x0c, 0x03, row.opcode, 0, action, 0, 0, 0, 64, 0, 0});
  ASSERT_THAT(answer.reply, IsGood());
  ASSERT_EQ(answer.data.size(), 4 + row.cdb_bytes());
  EXPECT_EQ(answer.data[1] & 0x07, 3);  // SUPPORT: in conformance with the standard
  EXPECT_EQ(Bytes(answer.data.begin() + 4, answer.data.end()),
            Bytes(row.usage.begin(), row.usage.begin() + static_cast<std::ptrdiff_t>(row.cdb_bytes())));
}

// A command cut off in the middle by a failing back end must be answered as a failure, whatever it was doing.
TEST_P(Command, AFailingBackEndIsNeverTakenForSuccess) {
  const CommandCase& one = *case_of(GetParam());
  TestLun healthy({.blocks = kCaseBlocks, .geometry = able()});
  send(healthy, one.good);
  for (const Op& op : healthy.device.ops) {
    TestLun lun({.blocks = kCaseBlocks, .geometry = able()});
    lun.device.fail(op.kind,
                    op.kind == OpKind::Read ? handler::IoStatus::ReadError : handler::IoStatus::WriteError);
    EXPECT_EQ(send(lun, one.good).status, 0x02) << op;
  }
}

// Initiators tell a full back end from a broken one: the first they wait out, the second they give up.
TEST_P(Command, AFullBackEndIsNeverTakenForABrokenOne) {
  const CommandCase& one = *case_of(GetParam());
  if (one.fails_its_own_way) return;
  TestLun healthy({.blocks = kCaseBlocks, .geometry = thin()});
  send(healthy, one.good);
  for (const Op& op : healthy.device.ops) {
    if (op.kind == OpKind::Read || op.kind == OpKind::Provisioning) continue;
    TestLun lun({.blocks = kCaseBlocks, .geometry = thin()});
    lun.device.fail(op.kind, handler::IoStatus::NoSpace);
    EXPECT_THAT(send(lun, one.good), HasSense(SenseKey::DataProtect, asc::kSpaceAllocationFailed)) << op;
  }
}

}  // namespace
}  // namespace bulkhead::scsi
