// A command set as data: one row per operation code and service action. Dispatch, the check of reserved bits,
// write protection, what a unit attention stops, and REPORT SUPPORTED OPERATION CODES all read the same row,
// so a command can't be half added.
//
// To add a command: a row in the device type's table (disk.cc), a function for its `execute`, a test.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "handler-host/scsi/cdb.h"
#include "handler-host/scsi/command_names.h"
#include "handler-host/scsi/sense.h"
#include "proto/opcode_facts.h"

namespace bulkhead::scsi {

class Task;

// How far a command is when a function that works on it returns.
enum class [[nodiscard]] Flow : std::uint8_t {
  Started,   // an operation is under way, or already over; the step named with it comes next
  Finished,  // answered: the task may serve another command already
};
using Execute = Flow (*)(Task& task);

// What a command does to the medium. Writes are refused on a read-only device.
enum class Access : std::uint8_t { None, Reads, Writes };

// Does a pending unit attention condition go first (SAM-5, "Unit attention conditions")?
enum class Attention : std::uint8_t { GoesFirst, Waits };

// What the device must be able to do for the command to exist.
enum class Needs : std::uint8_t { Nothing, AtomicWrites, Discard };

struct Capabilities {
  bool discard = false;
  bool atomic_writes = false;  // of a block or more
};

// While a sanitize or format operation is under way, and after it has failed (SBC-4, "Performing a sanitize
// operation", "Completing a sanitize operation", "FORMAT UNIT command").
enum class UnfitMedium : std::uint8_t {
  Refused,   // NOT READY, then MEDIUM ERROR; after a failed format only if the medium is accessed
  Answered,  // processed always
  Tells,     // refused after a failed format too
  Mends,     // refused while it is under way, processed after it has failed
};

// What sets a few commands apart.
struct Special {
  Needs needs = Needs::Nothing;
  Attention attention = Attention::GoesFirst;
  std::uint8_t discard_bits = 0;  // those of byte 1 that are evaluated only if the device can discard
  std::uint8_t ignored_bits = 0;  // those of byte 1 that are not evaluated and not refused either
  std::uint16_t timeout_s = 30;   // RECOMMENDED COMMAND TIMEOUT
  UnfitMedium unfit_medium = UnfitMedium::Refused;
};

struct OpcodeRow {
  std::uint8_t opcode;
  std::int16_t service_action;  // kNoServiceAction, or the value of byte 1 bits 4..0
  // The bits that are evaluated, as REPORT SUPPORTED OPERATION CODES shows them: byte 0 is the opcode, the
  // service action field its value. Any other bit set in a CDB: INVALID FIELD IN CDB with a pointer to it.
  std::array<std::uint8_t, 16> usage;
  channel::Direction direction;
  Access access;
  Replay replay;
  Execute execute;
  Special special = {};

  [[nodiscard]] constexpr std::int32_t order() const { return opcode << 8 | (service_action + 1); }
  [[nodiscard]] constexpr std::size_t cdb_bytes() const { return cdb_length(opcode, 0); }
  [[nodiscard]] constexpr bool has_service_action() const { return service_action != kNoServiceAction; }
  [[nodiscard]] constexpr bool available(Capabilities can) const {
    switch (special.needs) {
      case Needs::AtomicWrites:
        return can.atomic_writes;
      case Needs::Discard:
        return can.discard;
      case Needs::Nothing:
        break;
    }
    return true;
  }
  // The usage map of one byte, for a device of these capabilities.
  [[nodiscard]] constexpr std::uint8_t usage_of(std::size_t byte, Capabilities can) const {
    const std::uint8_t absent = byte == 1 && !can.discard ? special.discard_bits : std::uint8_t{0};
    return static_cast<std::uint8_t>(usage[byte] & ~absent);
  }
};

// SCSI-2 initiators put the LUN into byte 1 bits 7..5 of every CDB; Linux does so in the INQUIRY that tells
// it otherwise (scsi_dispatch_cmd with lun_in_cdb). Commands of that age ignore those bits.
inline constexpr std::uint8_t kScsi2Lun = 0xe0;

// Is the table right in itself, and does it agree with what the supervisor knows and with the names?
[[nodiscard]] constexpr bool sound(const OpcodeRow& row) {
  const OpcodeFacts& facts = kOpcodeFacts[row.opcode];
  if (row.direction != facts.direction || row.replay != facts.replay) return false;
  if (!find_command_name(row.opcode, row.service_action)) return false;
  if (row.usage[0] != row.opcode || row.cdb_bytes() > row.usage.size()) return false;
  for (std::size_t byte = row.cdb_bytes(); byte < row.usage.size(); ++byte)
    if (row.usage[byte] != 0) return false;
  if (row.has_service_action() && (row.usage[1] & 0x1f) != row.service_action) return false;
  return (row.special.discard_bits & ~row.usage[1]) == 0 && (row.special.ignored_bits & row.usage[1]) == 0;
}
[[nodiscard]] constexpr bool sound(std::span<const OpcodeRow> rows) {
  if (!std::ranges::all_of(rows, [](const OpcodeRow& row) { return sound(row); })) return false;
  for (std::size_t i = 1; i < rows.size(); ++i) {
    if (rows[i - 1].order() >= rows[i].order()) return false;
    // An opcode has service actions or it has not.
    if (rows[i - 1].opcode == rows[i].opcode && !rows[i - 1].has_service_action()) return false;
  }
  return true;
}

// All rows of an opcode; empty if the device type does not have it.
[[nodiscard]] std::span<const OpcodeRow> rows_of(std::span<const OpcodeRow> table, std::uint8_t opcode);

// The row for this CDB. Refused: INVALID COMMAND OPERATION CODE for an opcode that is unknown or that this
// device can't do; INVALID FIELD IN CDB for an unknown service action of a known one, and for a CDB that is
// too short.
struct Lookup {
  const OpcodeRow* row = nullptr;
  Sense refusal{};  // if there is no row
};
[[nodiscard]] Lookup look_up(std::span<const OpcodeRow> table, const Cdb& cdb, Capabilities can);

// The first bit that is set and should not be.
[[nodiscard]] std::optional<FieldPointer> reserved_bit_set(const OpcodeRow& row, const Cdb& cdb,
                                                           Capabilities can);

}  // namespace bulkhead::scsi
