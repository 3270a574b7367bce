// The parameter list of EXTENDED COPY, with a list identifier of one or of four bytes.
// Source: SPC-4, "EXTENDED COPY(LID1) command", "EXTENDED COPY(LID4) command", "CSCD descriptors", "Segment
// descriptors".
//
//   LID1, 16 bytes: 0 LIST IDENTIFIER | 1 ..STR, LIST ID USAGE, PRIORITY | 2 CSCD DESCRIPTOR LIST LENGTH |
//                   4 reserved | 8 SEGMENT DESCRIPTOR LIST LENGTH | 12 INLINE DATA LENGTH
//   LID4, 48 bytes: 0 01h | 1 as above | 2 0020h | 4 reserved | 15 G_SENSE, IMMED | 16 FFh | 17 reserved |
//                   20 LIST IDENTIFIER | 24 reserved | 42 CSCD DESCRIPTOR LIST LENGTH |
//                   44 SEGMENT DESCRIPTOR LIST LENGTH | 46 INLINE DATA LENGTH
//   then the CSCD descriptors (copy sources and copy destinations), the segment descriptors, inline data.
//
// Knows the format and its limits and nothing of the device. Every byte is hostile; nothing is read beyond
// the list. Threads: any. Allocates nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "handler-host/scsi/sense.h"

namespace bulkhead::scsi {

// What RECEIVE COPY OPERATING PARAMETERS and VPD 8Fh tell, and lists are held to. A whole list may thus move
// 256 MiB: seconds for a slow disk, which is still well before the kernel's time-out of a command (30 s).
inline constexpr std::uint16_t kMaxCscdDescriptors = 16;
inline constexpr std::uint16_t kMaxSegmentDescriptors = 16;
inline constexpr std::uint32_t kMaxDescriptorListBytes = 1024;
inline constexpr std::uint32_t kMaxSegmentBytes = 16 * 1024 * 1024;

// Type codes, ascending.
inline constexpr std::uint8_t kBlockToBlock = 0x02;
inline constexpr std::uint8_t kBlockToBlockOffset = 0x0a;
inline constexpr std::uint8_t kIdentificationCscd = 0xe4;
inline constexpr std::uint8_t kCopyDescriptorTypes[] = {kBlockToBlock, kBlockToBlockOffset,
                                                        kIdentificationCscd};

inline constexpr std::size_t kCscdBytes = 32;
// Stands for the logical unit that got the command; there is no descriptor for it.
inline constexpr std::uint16_t kThisUnitCscdId = 0xffff;

// One descriptor above a limit must be told by its own code and not by that of the list's length
// (iscsi-test-cu: ExtendedCopy.DescrLimits).
static_assert((kMaxCscdDescriptors + 1) * kCscdBytes + 28 <= kMaxDescriptorListBytes);
static_assert(kCscdBytes + (kMaxSegmentDescriptors + 1) * 32 <= kMaxDescriptorListBytes);

enum class ListIdBytes : std::uint8_t { One, Four };

struct CopyList {
  std::uint32_t id = 0;
  bool identified = true;  // false: nobody will ask for its results (LIST ID USAGE 11b)
  std::uint16_t cscds = 0;
  std::uint16_t segments = 0;
  std::size_t cscds_at = 0;  // first bytes of the two lists
  std::size_t segments_at = 0;
};

struct CheckedCopyList {
  CopyList list{};
  std::optional<Sense> refusal = std::nullopt;
};

// Of a list of at least one byte. All that is wrong with the list in itself: ILLEGAL REQUEST, as SPC-4 has it
// for errors found before the first segment is processed.
[[nodiscard]] CheckedCopyList check_copy_list(std::span<const std::uint8_t> list, ListIdBytes id_bytes);

// Where a segment's data starts on one side. Field pointers: the bytes of the fields in the list.
struct SegmentEnd {
  std::uint16_t cscd = 0;  // index of the descriptor, or an id
  std::uint16_t cscd_field = 0;
  std::uint64_t lba = 0;
  std::uint16_t lba_field = 0;
  std::uint16_t byte_offset = 0;  // from the start of that block
};
struct Segment {
  SegmentEnd source;
  SegmentEnd destination;
  std::uint64_t bytes = 0;
  std::uint16_t count_field = 0;
};

// Of a list that was found right; `index` < list.segments. Blocks are counted in `block_bytes`.
[[nodiscard]] Segment segment_of(std::span<const std::uint8_t> bytes, const CopyList& list,
                                 std::uint16_t index, std::uint32_t block_bytes);

// The identification descriptor of a copy source or destination.
//   0 E4h | 1 LU ID TYPE (ignored, as SPC-4 says), NUL, PERIPHERAL DEVICE TYPE | 2 RELATIVE INITIATOR PORT |
//   4 CODE SET | 5 ASSOCIATION, DESIGNATOR TYPE | 7 DESIGNATOR LENGTH | 8 DESIGNATOR (20 bytes) |
//   28 PAD | 29 DISK BLOCK LENGTH
struct Cscd {
  bool null = false;  // NUL, of SPC-3: no device is meant
  std::uint8_t peripheral_type = 0;
  std::uint8_t code_set = 0;
  std::uint8_t association = 0;
  std::uint8_t designator_type = 0;
  std::span<const std::uint8_t> designator;
  std::uint32_t block_bytes = 0;
  std::uint16_t block_bytes_field = 0;
};
// `index` < list.cscds.
[[nodiscard]] Cscd cscd_of(std::span<const std::uint8_t> bytes, const CopyList& list, std::uint16_t index);

}  // namespace bulkhead::scsi
