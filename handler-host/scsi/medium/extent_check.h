// What every command with an LBA and a number of blocks checks first.
#pragma once

#include <algorithm>
#include <optional>

#include "handler-host/scsi/cdb.h"
#include "handler-host/scsi/sense.h"
#include "handler-host/scsi/unit.h"

namespace bulkhead::scsi {

// LOGICAL BLOCK ADDRESS OUT OF RANGE if any of it is not on the medium; with a pointer to the LBA field.
// `cdb_bytes`: the command's CDB length.
[[nodiscard]] inline std::optional<Sense> refuse_outside(const Unit& unit, const Extent& extent,
                                                         std::size_t cdb_bytes) {
  if (unit.contains(extent)) return std::nullopt;
  Sense sense = illegal_request(asc::kLbaOutOfRange);
  sense.field = FieldPointer{FieldPointer::Where::Cdb, extent_fields(cdb_bytes).lba_byte, std::nullopt};
  return sense;
}

// INVALID FIELD IN CDB for more blocks than one command can carry at all (VPD B0h tells less or the same);
// with a pointer to the number of blocks.
[[nodiscard]] inline std::optional<Sense> refuse_too_long(const Unit& unit, const Extent& extent,
                                                          std::size_t cdb_bytes) {
  if (!unit.exceeds_channel(extent.count)) return std::nullopt;
  return invalid_cdb(extent_fields(cdb_bytes).count_byte);
}

[[nodiscard]] inline BlockRange range_of(const Extent& extent) {
  return {extent.first.value, extent.first.value + extent.count.value};
}

// The smallest range with both in it.
[[nodiscard]] inline BlockRange enclosing(const BlockRange& a, const BlockRange& b) {
  if (a.empty() || b.empty()) return a.empty() ? b : a;
  return {std::min(a.first, b.first), std::max(a.end, b.end)};
}

}  // namespace bulkhead::scsi
