// What POPULATE TOKEN and WRITE USING TOKEN have in common: the device's part of checking their ranges.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "handler-host/scsi/copy/token_lists.h"
#include "handler-host/scsi/range_lock.h"
#include "handler-host/scsi/sense.h"

namespace bulkhead::scsi {

class Unit;

struct CheckedRanges {
  std::uint64_t blocks = 0;  // in all
  BlockRange hull{};         // what encloses them
  std::optional<Sense> refusal = std::nullopt;
};

// Each range has to be on the medium, none may overlap another, and all together are no more than may be
// transferred at once (SBC-4).
[[nodiscard]] CheckedRanges check_ranges(const Unit& unit, std::span<const std::uint8_t> list,
                                         const RangeList& ranges);

// MAXIMUM TOKEN TRANSFER SIZE, in blocks.
[[nodiscard]] std::uint64_t max_token_transfer(const Unit& unit);

}  // namespace bulkhead::scsi
