// Numbers that can't be mixed up: an LBA is not a byte count, a slot is not a command id.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>

namespace bulkhead {

template <class Tag, class Rep>
struct Quantity {
  Rep value{};
  constexpr auto operator<=>(const Quantity&) const = default;
};

using Lba = Quantity<struct LbaTag, std::uint64_t>;                // block address on the LUN
using BlockCount = Quantity<struct BlockCountTag, std::uint64_t>;  // in the LUN's block size
using ByteCount = Quantity<struct ByteCountTag, std::uint64_t>;
using ByteOffset = Quantity<struct ByteOffsetTag, std::uint64_t>;  // on the LUN, from its first byte
using CmdId = Quantity<struct CmdIdTag, std::uint16_t>;            // the kernel's, 1..65535; reused at once
using SlotIndex = Quantity<struct SlotIndexTag, std::uint32_t>;    // of the channel's slot table
using UioMinor = Quantity<struct UioMinorTag, std::uint32_t>;      // N of /dev/uioN; reused at once

// First block after `count` blocks from `first`; nullopt beyond 2^64, so beyond any LUN.
[[nodiscard]] constexpr std::optional<Lba> end_of(Lba first, BlockCount count) {
  Lba end;
  if (__builtin_add_overflow(first.value, count.value, &end.value)) return std::nullopt;
  return end;
}

}  // namespace bulkhead
