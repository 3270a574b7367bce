// What people call SCSI commands: every command this program executes, and those it may see, refuse or log.
// Source: SPC-4, SBC-3/SBC-4 and ZBC, their tables of commands. The tables of what is executed
// (disk_opcodes.cc) are checked against this list at compile time: a command without a name does not compile.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace bulkhead::scsi {

inline constexpr std::int16_t kNoServiceAction = -1;

// What else of the CDB is worth words.
enum class Operand : std::uint8_t {
  None,
  Extent,  // an LBA and a number of blocks, where CDBs of this length have them
};

struct CommandName {
  std::uint8_t opcode;
  std::int16_t service_action;  // kNoServiceAction: the opcode has none, or this is the name for any other
  std::string_view name;
  Operand operand = Operand::None;

  [[nodiscard]] constexpr std::int32_t order() const { return opcode << 8 | (service_action + 1); }
};

inline constexpr auto kCommandNames = std::to_array<CommandName>({
    {0x00, kNoServiceAction, "TEST UNIT READY"},
    {0x01, kNoServiceAction, "REZERO UNIT"},
    {0x03, kNoServiceAction, "REQUEST SENSE"},
    {0x04, kNoServiceAction, "FORMAT UNIT"},
    {0x07, kNoServiceAction, "REASSIGN BLOCKS"},
    {0x08, kNoServiceAction, "READ(6)", Operand::Extent},
    {0x0a, kNoServiceAction, "WRITE(6)", Operand::Extent},
    {0x12, kNoServiceAction, "INQUIRY"},
    {0x15, kNoServiceAction, "MODE SELECT(6)"},
    {0x16, kNoServiceAction, "RESERVE(6)"},
    {0x17, kNoServiceAction, "RELEASE(6)"},
    {0x1a, kNoServiceAction, "MODE SENSE(6)"},
    {0x1b, kNoServiceAction, "START STOP UNIT"},
    {0x1c, kNoServiceAction, "RECEIVE DIAGNOSTIC RESULTS"},
    {0x1d, kNoServiceAction, "SEND DIAGNOSTIC"},
    {0x1e, kNoServiceAction, "PREVENT ALLOW MEDIUM REMOVAL"},
    {0x25, kNoServiceAction, "READ CAPACITY(10)"},
    {0x28, kNoServiceAction, "READ(10)", Operand::Extent},
    {0x2a, kNoServiceAction, "WRITE(10)", Operand::Extent},
    {0x2e, kNoServiceAction, "WRITE AND VERIFY(10)", Operand::Extent},
    {0x2f, kNoServiceAction, "VERIFY(10)", Operand::Extent},
    {0x34, kNoServiceAction, "PRE-FETCH(10)", Operand::Extent},
    {0x35, kNoServiceAction, "SYNCHRONIZE CACHE(10)", Operand::Extent},
    {0x37, kNoServiceAction, "READ DEFECT DATA(10)"},
    {0x3b, kNoServiceAction, "WRITE BUFFER"},
    {0x3c, kNoServiceAction, "READ BUFFER(10)"},
    {0x41, kNoServiceAction, "WRITE SAME(10)", Operand::Extent},
    {0x42, kNoServiceAction, "UNMAP"},
    {0x48, kNoServiceAction, "SANITIZE"},
    {0x48, 0x01, "SANITIZE OVERWRITE"},
    {0x48, 0x02, "SANITIZE BLOCK ERASE"},
    {0x48, 0x03, "SANITIZE CRYPTOGRAPHIC ERASE"},
    {0x48, 0x1f, "SANITIZE EXIT FAILURE MODE"},
    {0x4c, kNoServiceAction, "LOG SELECT"},
    {0x4d, kNoServiceAction, "LOG SENSE"},
    {0x55, kNoServiceAction, "MODE SELECT(10)"},
    {0x56, kNoServiceAction, "RESERVE(10)"},
    {0x57, kNoServiceAction, "RELEASE(10)"},
    {0x5a, kNoServiceAction, "MODE SENSE(10)"},
    {0x5e, kNoServiceAction, "PERSISTENT RESERVE IN"},
    {0x5f, kNoServiceAction, "PERSISTENT RESERVE OUT"},
    {0x7f, kNoServiceAction, "VARIABLE LENGTH CDB"},
    {0x83, kNoServiceAction, "THIRD-PARTY COPY OUT"},
    {0x83, 0x00, "EXTENDED COPY(LID1)"},
    {0x83, 0x01, "EXTENDED COPY(LID4)"},
    {0x83, 0x10, "POPULATE TOKEN"},
    {0x83, 0x11, "WRITE USING TOKEN"},
    {0x83, 0x1c, "COPY OPERATION ABORT"},
    {0x84, kNoServiceAction, "THIRD-PARTY COPY IN"},
    {0x84, 0x00, "RECEIVE COPY STATUS(LID1)"},
    {0x84, 0x01, "RECEIVE COPY DATA(LID1)"},
    {0x84, 0x03, "RECEIVE COPY OPERATING PARAMETERS"},
    {0x84, 0x04, "RECEIVE COPY FAILURE DETAILS(LID1)"},
    {0x84, 0x05, "RECEIVE COPY STATUS(LID4)"},
    {0x84, 0x07, "RECEIVE ROD TOKEN INFORMATION"},
    {0x84, 0x08, "REPORT ALL ROD TOKENS"},
    {0x85, kNoServiceAction, "ATA PASS-THROUGH(16)"},
    {0x88, kNoServiceAction, "READ(16)", Operand::Extent},
    {0x89, kNoServiceAction, "COMPARE AND WRITE", Operand::Extent},
    {0x8a, kNoServiceAction, "WRITE(16)", Operand::Extent},
    {0x8b, kNoServiceAction, "ORWRITE(16)", Operand::Extent},
    {0x8e, kNoServiceAction, "WRITE AND VERIFY(16)", Operand::Extent},
    {0x8f, kNoServiceAction, "VERIFY(16)", Operand::Extent},
    {0x90, kNoServiceAction, "PRE-FETCH(16)", Operand::Extent},
    {0x91, kNoServiceAction, "SYNCHRONIZE CACHE(16)", Operand::Extent},
    {0x93, kNoServiceAction, "WRITE SAME(16)", Operand::Extent},
    {0x94, kNoServiceAction, "ZBC OUT"},
    {0x94, 0x01, "CLOSE ZONE"},
    {0x94, 0x02, "FINISH ZONE"},
    {0x94, 0x03, "OPEN ZONE"},
    {0x94, 0x04, "RESET WRITE POINTER"},
    {0x95, kNoServiceAction, "ZBC IN"},
    {0x95, 0x00, "REPORT ZONES"},
    {0x9c, kNoServiceAction, "WRITE ATOMIC(16)"},
    {0x9e, kNoServiceAction, "SERVICE ACTION IN(16)"},
    {0x9e, 0x10, "READ CAPACITY(16)"},
    {0x9e, 0x12, "GET LBA STATUS(16)"},
    {0x9e, 0x13, "REPORT REFERRALS"},
    {0xa0, kNoServiceAction, "REPORT LUNS"},
    {0xa1, kNoServiceAction, "ATA PASS-THROUGH(12)"},
    {0xa2, kNoServiceAction, "SECURITY PROTOCOL IN"},
    {0xa3, kNoServiceAction, "MAINTENANCE IN"},
    {0xa3, 0x05, "REPORT IDENTIFYING INFORMATION"},
    {0xa3, 0x0a, "REPORT TARGET PORT GROUPS"},
    {0xa3, 0x0b, "REPORT ALIASES"},
    {0xa3, 0x0c, "REPORT SUPPORTED OPERATION CODES"},
    {0xa3, 0x0d, "REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS"},
    {0xa3, 0x0e, "REPORT PRIORITY"},
    {0xa3, 0x0f, "REPORT TIMESTAMP"},
    {0xa4, kNoServiceAction, "MAINTENANCE OUT"},
    {0xa4, 0x06, "SET IDENTIFYING INFORMATION"},
    {0xa4, 0x0a, "SET TARGET PORT GROUPS"},
    {0xa4, 0x0f, "SET TIMESTAMP"},
    {0xa8, kNoServiceAction, "READ(12)", Operand::Extent},
    {0xaa, kNoServiceAction, "WRITE(12)", Operand::Extent},
    {0xab, kNoServiceAction, "SERVICE ACTION IN(12)"},
    {0xab, 0x01, "READ MEDIA SERIAL NUMBER"},
    {0xae, kNoServiceAction, "WRITE AND VERIFY(12)", Operand::Extent},
    {0xaf, kNoServiceAction, "VERIFY(12)", Operand::Extent},
    {0xb5, kNoServiceAction, "SECURITY PROTOCOL OUT"},
    {0xb7, kNoServiceAction, "READ DEFECT DATA(12)"},
});
static_assert(std::ranges::is_sorted(kCommandNames, std::ranges::less{}, &CommandName::order));
static_assert(std::ranges::adjacent_find(kCommandNames, {}, &CommandName::order) == kCommandNames.end());

// The entry for exactly this command, if it has one. By value: GCC 12 takes no comparison with a null pointer
// for a constant once UBSan is on.
[[nodiscard]] constexpr std::optional<CommandName> find_command_name(std::uint8_t opcode,
                                                                     std::int16_t service_action) {
  const CommandName wanted{opcode, service_action, {}};
  const auto* found = std::ranges::lower_bound(kCommandNames, wanted.order(), {}, &CommandName::order);
  if (found == kCommandNames.end() || found->order() != wanted.order()) return std::nullopt;
  return *found;
}

// Has this opcode service actions, in byte 1 of its CDB?
[[nodiscard]] constexpr bool has_service_actions(std::uint8_t opcode) {
  return std::ranges::any_of(kCommandNames, [opcode](const CommandName& entry) {
    return entry.opcode == opcode && entry.service_action != kNoServiceAction;
  });
}

}  // namespace bulkhead::scsi
