// The unit in which logical block provisioning counts space: threshold sets of 2^exponent blocks.
// Source: SBC-4, "Logical Block Provisioning VPD page", THRESHOLD EXPONENT.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <limits>

#include "base/quantity.h"

namespace bulkhead::scsi {

// Pure values; any thread.
class ThresholdSets {
 public:
  // Sets of 1 MiB, or as much larger as it takes for the capacity to be a count of 32 bits.
  ThresholdSets(BlockCount capacity, unsigned block_shift)
      : exponent_(std::max(kSetShift - block_shift, excess_bits(capacity))),
        shift_(block_shift + exponent_) {}

  [[nodiscard]] std::uint8_t exponent() const { return static_cast<std::uint8_t>(exponent_); }
  // Whole sets; all that a RESOURCE COUNT field can say, if there are more.
  [[nodiscard]] std::uint32_t count(ByteCount bytes) const {
    return static_cast<std::uint32_t>(
        std::min<std::uint64_t>(bytes.value >> shift_, std::numeric_limits<std::uint32_t>::max()));
  }
  [[nodiscard]] std::uint32_t count_up(ByteCount bytes) const {
    const std::uint64_t part = bytes.value & (set_bytes() - 1);
    const std::uint32_t whole = count(bytes);
    return part == 0 || whole == std::numeric_limits<std::uint32_t>::max() ? whole : whole + 1;
  }
  [[nodiscard]] std::uint64_t set_bytes() const { return std::uint64_t{1} << shift_; }

 private:
  // Blocks are of 64 KiB at most, so the exponent is never 0, which would mean that there are no thresholds.
  static constexpr unsigned kSetShift = 20;
  static unsigned excess_bits(BlockCount capacity) {
    const auto bits = static_cast<unsigned>(std::bit_width(capacity.value));
    return bits > 32 ? bits - 32 : 0;
  }

  unsigned exponent_;
  unsigned shift_;  // of a set, in bytes
};

}  // namespace bulkhead::scsi
