// The channel between the supervisor and one handler-host: a binary contract, version kChannelVersion.
//
// Three shared memory files, sealed against resizing, made by the supervisor:
//
//   requests     supervisor writes, host maps read-only   RequestsHeader | Slot[slots] | uint32 submit[slots]
//   completions  host writes, supervisor only reads        CompletionsHeader | CompletionEntry[slots]
//   data         both write                                the commands' buffers
//
// One command's way: the supervisor fills slot i (a plain store: the host does not look at it yet), puts i
// into submit[head % slots] and publishes RequestsHeader::submit_head with a release store; the host takes it
// with an acquire load. The answer goes back through CompletionEntry[head % slots] and completion_head in the
// same way. Both rings have as many entries as there are slots and a slot has at most one submission and one
// completion under way, so neither can overflow: a distance above `slots` is a lie and ends the host.
//
// Doorbells. A consumer that finds its ring empty announces a sleep by making its sleep word odd (+1), then
// a sequentially consistent fence, then looks once more; only then it blocks. A producer publishes, fences
// the same way, reads the sleep word, and rings if it is odd and not the sleep it rang for before. The two
// fences are store-load fences: acquire and release alone would lose wake-ups. Awake again: +1, even. Towards
// the host the doorbell is a pipe, towards the supervisor an eventfd: see ARCHITECTURE.md, "Doorbells".
//
// I/O grants. A host that has told by message IoGrant where the LUN's blocks lie in its file lets the
// supervisor read and write them there: CompletionsHeader::grant says what is granted now, and by which
// IoGrant. The host stores it before it publishes the answer of the command that changed it. While a command
// that may change the medium is with the host nothing is written by grant in its blocks, so no granted write
// runs beside one of its own. What was written by grant RequestsHeader::granted_writes tells, for a host that
// must know which flush is to report a loss. If that IoGrant says that there is nothing to flush, SYNCHRONIZE
// CACHE may be answered without the host as well while writes are granted; so the host grants none while it
// owes the report of a loss. A host that knows of no grants leaves the word 0.
//
// Trust: the supervisor takes one snapshot() of each entry the host wrote and judges the copy: slot below
// `slots` and in flight, generation that of the slot, sense_bytes <= 96, reserved 0, data_bytes within the
// command's buffer, data only for a command that may read. A violation ends the host with a named reason.
// What a host writes into `data` hurts only its own LUN.
//
// A supervisor may die and be followed by another one, which finds the memory as the last one left it: the
// host notices nothing, but for message Adopt. An entry of completions may then be looked at twice.
//
// Raising the version: any change of size, offset or meaning here. The host states the version it speaks in
// Hello (proto/control.proto), the supervisor in the headers of the memory; each ends what differs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace bulkhead::channel {

inline constexpr std::uint32_t kChannelVersion = 2;
inline constexpr std::uint64_t kRequestsMagic = 0x315145522d4b4c42;     // "BLK-REQ1", little endian
inline constexpr std::uint64_t kCompletionsMagic = 0x31504d432d4b4c42;  // "BLK-CMP1"
inline constexpr std::size_t kCacheLine = 64;
inline constexpr std::size_t kPage = 4096;  // unit of buffers in `data`
inline constexpr std::size_t kCdbBytes = 32;
inline constexpr std::size_t kSenseBytes = 96;  // what the kernel copies (TCMU_SENSE_BUFFERSIZE)
inline constexpr std::uint32_t kMaxSlots = 4096;
// CompletionsHeader::grant: these, and IoGrant::number above kGrantBits.
inline constexpr std::uint32_t kGrantReads = 1;
inline constexpr std::uint32_t kGrantWrites = 2;
inline constexpr unsigned kGrantBits = 2;

// What may be in the buffer when the host sees the command, and what may go back.
enum class Direction : std::uint8_t {
  None = 0,
  In = 1,    // towards the initiator: the buffer's content is undefined at first
  Out = 2,   // from the initiator: the buffer holds the data
  Both = 3,  // unknown opcode: filled, and taken back as well
};

struct RequestsHeader {
  std::uint64_t magic;
  std::uint32_t version;
  std::uint32_t slots;  // also the number of entries of both rings; a power of two
  std::uint32_t slot_offset;
  std::uint32_t submit_offset;
  std::uint64_t data_bytes;  // size of the data file
  std::uint8_t pad0[32];
  alignas(kCacheLine) std::uint32_t submit_head;  // entries ever put into submit[], modulo 2^32
  // Completions ever taken, modulo 2^32: not for the host, but for the supervisor's successor.
  std::uint32_t completions_taken;
  std::uint32_t granted_writes;  // modulo 2^32; +1 when a write by grant begins, +1 when it has ended
  std::uint8_t pad1[52];
  alignas(kCacheLine) std::uint32_t supervisor_sleep;  // odd: ring to wake the supervisor's pump
  std::uint8_t pad2[60];
};
static_assert(sizeof(RequestsHeader) == 192 && offsetof(RequestsHeader, submit_head) == 64 &&
              offsetof(RequestsHeader, supervisor_sleep) == 128);

// A cache line pair, by its place in the file: kCacheLine-aligned there, but an ordinary value elsewhere.
struct alignas(8) Slot {
  std::uint32_t generation;  // changes with every use of the slot; an answer must repeat it
  std::uint16_t cmd_id;      // the kernel's, for logs only
  std::uint16_t cdb_bytes;   // true length, 6..260; only the first kCdbBytes are in `cdb`
  Direction direction;
  std::uint8_t pad0[3];
  std::uint32_t replays;      // host deaths this command has been in flight at
  std::uint64_t data_offset;  // of its buffer in the data file, a multiple of kPage
  std::uint64_t data_bytes;   // what the initiator's side expects to move, either way; 0: no buffer
  std::uint64_t arrived_ns;   // CLOCK_MONOTONIC when the supervisor took it from the kernel
  std::uint8_t pad1[24];
  std::uint8_t cdb[kCdbBytes];
  std::uint8_t pad2[32];
};
static_assert(sizeof(Slot) == 128 && offsetof(Slot, data_offset) == 16 && offsetof(Slot, cdb) == 64);

struct CompletionsHeader {
  std::uint64_t magic;
  std::uint32_t version;
  std::uint32_t slots;
  std::uint32_t grant;  // "I/O grants"
  std::uint8_t pad0[44];
  alignas(kCacheLine) std::uint32_t completion_head;  // entries ever written, modulo 2^32
  std::uint8_t pad1[60];
  alignas(kCacheLine) std::uint32_t host_sleep;  // odd: ring to wake the host
  std::uint8_t pad2[60];
};
static_assert(sizeof(CompletionsHeader) == 192 && offsetof(CompletionsHeader, grant) == 16 &&
              offsetof(CompletionsHeader, completion_head) == 64 &&
              offsetof(CompletionsHeader, host_sleep) == 128);

struct alignas(8) CompletionEntry {
  std::uint32_t slot;
  std::uint32_t generation;
  std::uint32_t data_bytes;  // valid bytes at the start of the buffer, for the initiator
  std::uint8_t scsi_status;  // SAM-5 5.3.1
  std::uint8_t sense_bytes;  // 0..96; only with CHECK CONDITION
  std::uint16_t reserved;    // 0
  std::uint8_t sense[kSenseBytes];
};
static_assert(sizeof(CompletionEntry) == 112 && offsetof(CompletionEntry, sense) == 16);
static_assert(std::is_trivially_copyable_v<Slot> && std::is_trivially_copyable_v<CompletionEntry>);

// Sizes of the files, for makers and checkers alike.
[[nodiscard]] constexpr std::size_t round_to_page(std::size_t bytes) {
  return (bytes + kPage - 1) / kPage * kPage;
}
[[nodiscard]] constexpr std::size_t submit_offset(std::uint32_t slots) {
  return sizeof(RequestsHeader) + slots * sizeof(Slot);
}
[[nodiscard]] constexpr std::size_t requests_bytes(std::uint32_t slots) {
  return round_to_page(submit_offset(slots) + slots * sizeof(std::uint32_t));
}
[[nodiscard]] constexpr std::size_t completions_bytes(std::uint32_t slots) {
  return round_to_page(sizeof(CompletionsHeader) + slots * sizeof(CompletionEntry));
}

}  // namespace bulkhead::channel
