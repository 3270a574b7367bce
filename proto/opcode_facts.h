// The few facts about a SCSI operation code that must be known before anyone has parsed the CDB: the kernel
// tells neither direction nor CDB length of a command (struct tcmu_cmd_entry has no such fields). The
// supervisor knows no more of SCSI than this table; the host's opcode tables (handler-host/scsi) are checked
// against it at compile time.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "proto/channel_abi.h"

namespace bulkhead {

// What statistics tell apart.
enum class CommandKind : std::uint8_t { Read, Write, Flush, Unmap, Other };
inline constexpr std::size_t kCommandKinds = 5;

// May the command be executed again when the host that had it died without answering?
enum class Replay : std::uint8_t {
  Safe,   // the second execution leaves the medium as the first did
  Never,  // it reads what it writes, or changes persistent state: ABORTED COMMAND, the initiator decides
};

struct OpcodeFacts {
  channel::Direction direction;
  CommandKind kind;
  Replay replay;
};

namespace detail {
constexpr std::array<OpcodeFacts, 256> make_opcode_facts() {
  using channel::Direction;
  std::array<OpcodeFacts, 256> table{};
  // Unknown: filled and taken back, and nobody can say that twice is as good as once.
  table.fill({Direction::Both, CommandKind::Other, Replay::Never});
  auto set = [&table](Direction direction, CommandKind kind, Replay replay, auto... opcodes) {
    ((table[static_cast<std::size_t>(opcodes)] = {direction, kind, replay}), ...);
  };
  using enum CommandKind;
  // READ 6/10/12/16, then WRITE 6/10/12/16, WRITE AND VERIFY 10/12/16, WRITE ATOMIC 16
  set(Direction::In, Read, Replay::Safe, 0x08, 0x28, 0xa8, 0x88);
  set(Direction::Out, Write, Replay::Safe, 0x0a, 0x2a, 0xaa, 0x8a, 0x2e, 0xae, 0x8e, 0x9c);
  // WRITE SAME 10/16 (NDOB: no data, then the length is 0)
  set(Direction::Out, Write, Replay::Safe, 0x41, 0x93);
  // COMPARE AND WRITE, ORWRITE 16
  set(Direction::Out, Write, Replay::Never, 0x89, 0x8b);
  // SYNCHRONIZE CACHE 10/16, UNMAP
  set(Direction::None, Flush, Replay::Safe, 0x35, 0x91);
  set(Direction::Out, Unmap, Replay::Safe, 0x42);
  // TEST UNIT READY, START STOP UNIT, PREVENT ALLOW, PRE-FETCH 10/16
  set(Direction::None, Other, Replay::Safe, 0x00, 0x1b, 0x1e, 0x34, 0x90);
  // VERIFY 10/12/16: data only with BYTCHK
  set(Direction::Out, Other, Replay::Safe, 0x2f, 0xaf, 0x8f);
  // REQUEST SENSE, INQUIRY, MODE SENSE 6/10, RECEIVE DIAGNOSTIC, READ CAPACITY 10, READ DEFECT DATA 10/12,
  // READ BUFFER 10, LOG SENSE, PERSISTENT RESERVE IN, RECEIVE COPY RESULTS, ZBC IN, SERVICE ACTION IN 16/12,
  // REPORT LUNS, MAINTENANCE IN
  set(Direction::In, Other, Replay::Safe, 0x03, 0x12, 0x1a, 0x5a, 0x1c, 0x25, 0x37, 0xb7, 0x3c, 0x4d, 0x5e,
      0x84, 0x95, 0x9e, 0xab, 0xa0, 0xa3);
  // MODE SELECT 6/10: the same values set twice; SEND DIAGNOSTIC: a self-test reads
  set(Direction::Out, Other, Replay::Safe, 0x15, 0x55, 0x1d);
  // FORMAT UNIT, REASSIGN BLOCKS, WRITE BUFFER, SANITIZE, LOG SELECT, PERSISTENT RESERVE OUT, EXTENDED COPY,
  // MAINTENANCE OUT
  set(Direction::Out, Other, Replay::Never, 0x04, 0x07, 0x3b, 0x48, 0x4c, 0x5f, 0x83, 0xa4);
  // ZBC OUT: zone state
  set(Direction::None, Other, Replay::Never, 0x94);
  return table;
}
}  // namespace detail

inline constexpr std::array<OpcodeFacts, 256> kOpcodeFacts = detail::make_opcode_facts();

// Length of a CDB by its group code (SPC-4 4.2.5.1); `additional` is its byte 7, used by the variable length
// format 7Fh alone. Vendor codes C0h-FFh arrive cut to 10 bytes (scsi_command_size in the kernel).
[[nodiscard]] constexpr std::size_t cdb_length(std::uint8_t opcode, std::uint8_t additional) {
  if (opcode == 0x7f) return std::size_t{8} + additional;
  if (opcode < 0x20) return 6;
  if (opcode < 0x60) return 10;
  if (opcode < 0x7f) return 12;
  if (opcode < 0xa0) return 16;
  if (opcode < 0xc0) return 12;
  return 10;
}
static_assert(cdb_length(0x28, 0) == 10 && cdb_length(0x7f, 24) == 32 && cdb_length(0x88, 0) == 16);

}  // namespace bulkhead
