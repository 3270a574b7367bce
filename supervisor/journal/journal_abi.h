// The journal of one device: what the next supervisor must know to go on where this one stopped. A sealed
// memory file of the supervisors' alone, which systemd keeps between two of them. Version kJournalVersion.
//
//   JournalHeader | JournalCursors | InFlightCommand[slots] | KernelSegment[pages] | stats | two records
//
// Who may be found half done: everything but single words. The commit points, each one store of one word:
//
//   a command is taken from the ring    JournalCursors::taken moves on; before, its slot does not count
//   it is given to a host               Progress (Submitted); it reached the host if the channel's
//                                       submit_head is beyond submit_index
//   it is answered                      JournalCursors::answered names it; the response is complete in the
//                                       ring, though the kernel may not have been told
//   the kernel is told                  the mailbox's tail; `publishing` says beforehand from where to where
//   its host has died                   Progress (Waiting, one death more)
//
// All of it lies in memory that only supervisors map: none of it is hostile. A journal of another version is
// not read: its device is taken over as one that nobody has served (ARCHITECTURE.md, "When the supervisor
// dies").
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/quantity.h"
#include "proto/channel_abi.h"
#include "proto/opcode_facts.h"

namespace bulkhead::supervisor {

inline constexpr std::uint64_t kJournalMagic = 0x314e524a2d4b4c42;  // "BLK-JRN1", little endian
// Raised with every change of size, offset or meaning here.
inline constexpr std::uint32_t kJournalVersion = 1;
inline constexpr std::size_t kStatsBytes = 4096;
inline constexpr std::size_t kRecordBytes = 8192;

struct JournalHeader {
  std::uint64_t magic;
  std::uint32_t version;
  std::uint32_t slots;
  std::uint32_t pages;          // of the channel's data file, so of segments
  std::uint32_t active_record;  // 0, 1; 2: there is none yet
  std::uint8_t pad[40];
};
static_assert(sizeof(JournalHeader) == 64);

// A place in the kernel's ring and a count, in one word: offset / 8 in the low 20 bits (the ring has at most
// 8 MiB, and entries begin at multiples of 8), above it a count of 44 bits, which does not come round.
class RingMark {
 public:
  constexpr RingMark() = default;
  constexpr RingMark(std::uint64_t count, std::uint32_t offset) : word_((count << kBits) | (offset / 8)) {}
  [[nodiscard]] constexpr std::uint64_t count() const { return word_ >> kBits; }
  [[nodiscard]] constexpr std::uint32_t offset() const {
    return static_cast<std::uint32_t>(word_ & ((1u << kBits) - 1)) * 8;
  }

  static constexpr std::uint32_t kMaxRing = 8u << 20;

 private:
  static constexpr unsigned kBits = 20;
  std::uint64_t word_ = 0;
};
static_assert(RingMark(7, 8'388'472).offset() == 8'388'472 && RingMark(7, 8'388'472).count() == 7);

// Two places in the ring.
struct alignas(8) RingMove {
  std::uint32_t from;
  std::uint32_t to;
};

// What becomes of the present channel.
enum class HostLink : std::uint32_t {
  None = 0,
  Attached = 1,  // commands may be with the host
  Ending = 2,    // its last answers have been taken; what it had is being retired
};

// One cache line, by its place in the file.
struct alignas(8) JournalCursors {
  RingMark taken;     // commands taken so far; offset: the next entry to read
  RingMark answered;  // sequence of the command answered last, plus one; offset: where the next answer may go
  RingMove publishing;  // the mailbox's tail is at one of these, or somebody else has moved it
  HostLink host_link;
  std::uint32_t pad0;
  std::uint64_t last_turn_ns;  // CLOCK_MONOTONIC when the pump last looked
  std::uint8_t pad1[24];
};
static_assert(sizeof(JournalCursors) == 64);

enum class CommandState : std::uint8_t {
  Free,
  Waiting,    // no host has it
  Submitted,  // the present host has it, or is about to
  TooLarge,   // no channel can carry it; answered at once
};

// What changes at once: one word.
struct alignas(8) Progress {
  CommandState state = CommandState::Free;
  bool aborted = false;          // the kernel waits for its end, and discards what it is answered
  std::uint16_t replays = 0;     // hosts that died with it
  std::uint32_t generation = 0;  // of the slot; grows with each submission
};
static_assert(sizeof(Progress) == 8);

// A command the pump has taken from the kernel and not answered yet: the supervisor's own copy.
struct InFlightCommand {
  Progress progress;
  std::uint64_t sequence = 0;  // commands taken before it
  std::uint64_t data_bytes = 0;
  std::uint64_t arrived_ns = 0;    // CLOCK_MONOTONIC
  std::uint32_t submit_index = 0;  // of the channel's submission ring, modulo 2^32
  std::uint32_t first_page = 0;
  std::uint32_t pages = 0;
  std::uint32_t segments = 0;
  CmdId id;
  std::uint16_t cdb_bytes = 0;
  OpcodeFacts facts{};  // made anew at adoption, as a newer build may know better
  std::uint8_t pad = 0;
  // Arrival order, as a list through the slots; made anew at adoption.
  std::uint32_t older = kNone;
  std::uint32_t newer = kNone;
  std::uint64_t given_ns = 0;  // CLOCK_MONOTONIC when the present host was given it
  std::array<std::uint8_t, channel::kCdbBytes> cdb{};
  static constexpr std::uint32_t kNone = ~std::uint32_t{0};
};
static_assert(sizeof(InFlightCommand) == 104 && offsetof(InFlightCommand, cdb) == 72);

// A piece of the region's data area that belongs to a command until the command is answered.
struct KernelSegment {
  std::uint64_t offset;  // from the start of the region
  std::uint64_t bytes;
};
static_assert(sizeof(KernelSegment) == 16);

}  // namespace bulkhead::supervisor
