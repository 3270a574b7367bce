// The parameter lists of POPULATE TOKEN and WRITE USING TOKEN (SBC-4, the clauses of these names).
//
//   POPULATE TOKEN:    0 DATA LENGTH | 2 RTV, IMMED | 4 INACTIVITY TIMEOUT | 8 ROD TYPE |
//                      14 BLOCK DEVICE RANGE DESCRIPTOR LENGTH | 16 descriptors
//   WRITE USING TOKEN: 0 DATA LENGTH | 2 DEL_TKN, IMMED | 8 OFFSET INTO ROD | 16 ROD TOKEN (512 bytes) |
//                      534 BLOCK DEVICE RANGE DESCRIPTOR LENGTH | 536 descriptors
//   a descriptor:      0 LBA | 8 NUMBER OF LOGICAL BLOCKS | 12 reserved
//
// Knows the format and its limits and nothing of the device. Every byte is hostile; nothing is read beyond
// the list. Threads: any. Allocates nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "handler-host/scsi/cdb.h"
#include "handler-host/scsi/copy/rod_tokens.h"
#include "handler-host/scsi/sense.h"

namespace bulkhead::scsi {

// Told by VPD 8Fh and held to. Seconds. So much data is copied in about a second, which is what Windows is
// ready to wait for one command.
inline constexpr std::uint32_t kDefaultInactivityTimeout = 60;
inline constexpr std::uint32_t kMaxInactivityTimeout = 600;
inline constexpr std::uint64_t kMaxTokenTransferBytes = 64 * 1024 * 1024;

struct RangeList {
  std::uint16_t at = 0;  // its first byte
  std::uint16_t count = 0;
};
// `index` < ranges.count.
[[nodiscard]] Extent range_at(std::span<const std::uint8_t> list, const RangeList& ranges,
                              std::uint16_t index);
// The byte of its LBA.
[[nodiscard]] std::uint16_t range_field(const RangeList& ranges, std::uint16_t index);

struct PopulateTokenList {
  std::uint32_t inactivity_timeout = 0;
  RangeList ranges;
  std::optional<Sense> refusal = std::nullopt;
};
[[nodiscard]] PopulateTokenList check_populate_token(std::span<const std::uint8_t> list);

struct WriteUsingTokenList {
  bool delete_token = false;
  std::uint64_t offset = 0;  // in blocks
  RangeList ranges;
  std::optional<Sense> refusal = std::nullopt;
};
inline constexpr std::uint16_t kOffsetIntoRodByte = 8;
inline constexpr std::size_t kRodTokenByte = 16;
[[nodiscard]] WriteUsingTokenList check_write_using_token(std::span<const std::uint8_t> list);

}  // namespace bulkhead::scsi
