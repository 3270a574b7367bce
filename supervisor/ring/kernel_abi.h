// The bytes of the TCMU region, as include/uapi/linux/target_core_user.h lays them out (that header is not
// C++). Sizes and offsets were checked against kernels 6.1 and 6.12, x86-64.
#pragma once

#include <cstddef>
#include <cstdint>

namespace bulkhead::supervisor::kernel {

inline constexpr std::uint16_t kMailboxVersion = 2;
inline constexpr std::uint16_t kFlagOutOfOrder = 0x1;      // TCMU_MAILBOX_FLAG_CAP_OOOC
inline constexpr std::uint16_t kFlagReadLen = 0x2;         // TCMU_MAILBOX_FLAG_CAP_READ_LEN
inline constexpr std::uint16_t kFlagTaskManagement = 0x4;  // TCMU_MAILBOX_FLAG_CAP_TMR

struct Mailbox {
  std::uint16_t version;
  std::uint16_t flags;
  std::uint32_t ring_offset;
  std::uint32_t ring_bytes;
  std::uint32_t head;  // the kernel's, ours to read only
  std::uint8_t pad[48];
  std::uint32_t tail;  // ours; on a cache line of its own
  std::uint8_t pad2[60];
};
static_assert(sizeof(Mailbox) == 128 && offsetof(Mailbox, head) == 12 && offsetof(Mailbox, tail) == 64);

enum class Op : std::uint32_t { Pad = 0, Command = 1, TaskManagement = 2 };
inline constexpr std::uint32_t kOpMask = 0x7;  // of len_op; the rest is the entry's length
inline constexpr std::uint8_t kUflagReadLen = 0x2;

struct EntryHeader {
  std::uint32_t len_op;
  std::uint16_t cmd_id;
  std::uint8_t kflags;  // 0 in each new entry (queue_cmd_ring), and never looked at by the kernel
  std::uint8_t uflags;
};
static_assert(sizeof(EntryHeader) == 8 && offsetof(EntryHeader, kflags) == 6);

// A command's request; segments follow it, then, inside the same entry, the CDB.
struct Request {
  EntryHeader header;
  std::uint32_t segments;
  std::uint32_t bidi_segments;
  std::uint32_t protection_segments;
  std::uint32_t hole;
  std::uint64_t cdb_offset;  // from the start of the region
  std::uint64_t pad[2];
};
static_assert(sizeof(Request) == 48 && offsetof(Request, segments) == 8 &&
              offsetof(Request, cdb_offset) == 24);

// The response lies over the request and its first segments.
struct Response {
  EntryHeader header;
  std::uint8_t scsi_status;
  std::uint8_t pad[3];
  std::uint32_t read_len;
  std::uint8_t sense[96];
};
static_assert(sizeof(Response) == 112 && offsetof(Response, sense) == 16);
inline constexpr std::size_t kSmallestCommand = sizeof(Response);

// struct tcmu_tmr_entry; `ids` times a 16-bit cmd_id follow it.
struct TaskManagement {
  EntryHeader header;
  std::uint8_t function;  // enum tcmu_tmr_type
  std::uint8_t pad[3];
  std::uint32_t ids;
  std::uint64_t pad2[2];
};
static_assert(sizeof(TaskManagement) == 32 && offsetof(TaskManagement, function) == 8 &&
              offsetof(TaskManagement, ids) == 12);

}  // namespace bulkhead::supervisor::kernel
