// What a logical unit remembers across the death or replacement of its host. The supervisor keeps the bytes
// and hands them to the next host without looking into them (proto/control.proto, unit_state).
//
// The layout, version 1; big-endian, 64 bytes; what is not named is 0, and free for later:
//    0 version | 1 flags: bit 0 CAPACITY DATA HAS CHANGED and bit 1 MODE PARAMETERS CHANGED are to be
//      reported, bit 2 D_SENSE, bit 3 SWP, bit 4 writes that were answered are lost, and no flush
//      has failed for it yet (lost_writes.h)
//    4 purpose | 5 phase | 6 method | 7 flags: bit 0 invert, bit 1 AUSE | 8 passes | 9 passes done |
//   10 length of the pattern                                      (these and those below: MediumRecord)
//   16 size of the LUN in bytes (8) | 24 hash of the config string (8) | 32 bytes done (8) | 40 pattern (24)
// A new field takes a free byte and means with 0 what was before it; anything else takes a new version.
//
// Trust: the bytes come from an earlier host, which may have been taken over: every value is checked.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "handler-host/scsi/logical_unit.h"
#include "handler-host/scsi/medium/medium_job.h"

namespace bulkhead::scsi {

struct UnitState {
  bool capacity_changed = false;  // and no initiator was told yet; so is the next
  bool mode_parameters_changed = false;
  bool descriptor_sense = false;        // D_SENSE and SWP of the Control mode page: nobody tells an initiator
  bool software_write_protect = false;  // that another host serves its LUN now
  bool lost_writes = false;
  std::uint64_t size_bytes = 0;
  std::uint64_t config_hash = 0;  // a job must not go on with another medium
  MediumRecord job;
};

[[nodiscard]] LogicalUnit::State encode(const UnitState& state);
// nullopt: another version, or nothing that encode() makes.
[[nodiscard]] std::optional<UnitState> decode_unit_state(std::span<const std::uint8_t> bytes);

[[nodiscard]] std::uint64_t config_hash(std::string_view config);

}  // namespace bulkhead::scsi
