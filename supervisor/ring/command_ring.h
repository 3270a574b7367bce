// The kernel's command ring of one device: what include/uapi/linux/target_core_user.h describes.
//
// Two cursors, both offsets from the start of the ring. `next_` is the next entry to read, ours alone.
// `tail_` is the mailbox's cmd_tail: how far the kernel may take answers. Between them lie entries that were
// read and serve as carriers: an answer is written into the oldest command entry, whichever command that
// entry once held (out-of-order completion, mailbox flag OOOC). So everything of an entry is copied out when
// it is read. Both are kept in the journal, where the next supervisor finds them: journal_abi.h.
//
// Threads: one at a time (the device's pump). Never blocks.
// Trust: the kernel's entries are well formed, but every length and offset is checked before use, for a
// supervisor that follows a wild one would take all LUNs down. No method writes len_op: the kernel walks by
// it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <variant>

#include "base/error.h"
#include "base/quantity.h"
#include "base/shared_memory.h"
#include "proto/channel_abi.h"
#include "supervisor/journal/journal_abi.h"
#include "supervisor/ring/kernel_abi.h"

namespace bulkhead::supervisor {

struct RingCommand {
  CmdId id;
  std::uint16_t cdb_bytes = 0;  // true length, up to 263
  std::array<std::uint8_t, channel::kCdbBytes> cdb{};
  std::uint32_t segments = 0;
  std::uint64_t data_bytes = 0;  // sum over the segments: what the fabric expects to move
};

// The kernel has aborted these commands and waits until each is answered; what with is all the same to it.
struct RingTaskManagement {
  std::uint8_t function = 0;         // enum tcmu_tmr_type
  std::span<const std::byte> ids{};  // cmd_ids in the ring: valid until publish()
  [[nodiscard]] std::size_t size() const { return ids.size() / sizeof(std::uint16_t); }
  [[nodiscard]] CmdId id(std::size_t index) const;
  [[nodiscard]] bool lists(CmdId id) const;
};

// monostate: the ring holds nothing new.
using RingEntry = std::variant<std::monostate, RingCommand, RingTaskManagement>;

struct RingAnswer {
  CmdId id;
  std::uint64_t sequence = 0;  // of the command that is answered
  std::uint8_t scsi_status = 0;
  std::span<const std::uint8_t> sense{};  // at most 96; used with CHECK CONDITION
  std::uint32_t read_len = 0;  // above 0: only so much is returned to the initiator (flag READ_LEN)
};

class CommandRing {
 public:
  // `region` is the whole uio mapping; `cursors` outlive the ring. Starts at the mailbox's tail, so only a
  // device that has just been made or reset may be attached. Errors: BadInput for a mailbox we don't know.
  [[nodiscard]] static Result<CommandRing> attach(std::span<std::byte> region, JournalCursors& cursors);
  // Goes on where a dead supervisor stopped. Answers that it wrote and did not publish are published with the
  // next publish(). Errors: as attach(); PeerBroken when somebody else has moved the tail meanwhile.
  [[nodiscard]] static Result<CommandRing> adopt(std::span<std::byte> region, JournalCursors& cursors);

  // The next entry, looked at but not taken; PADs are stepped over.
  // Errors: PeerBroken when an entry is malformed; the ring is of no use after that.
  [[nodiscard]] Result<RingEntry> peek();
  // Takes the command that peek() showed; its segments are copied to `segments`, which has room for all of
  // them. The journal's entry for it, with sequence(), is complete by then: from here on it counts.
  void take(const RingCommand& command, std::span<KernelSegment> segments);
  // The same for a command that will be answered without looking at its data.
  void take_without_data();
  // Steps over the task management that peek() showed.
  void step_over();
  // Of the command that is taken next.
  [[nodiscard]] std::uint64_t sequence() const { return cursors_->taken.count(); }

  // Writes an answer into the oldest carrier. Not seen by the kernel before publish(), but settled: the next
  // supervisor would publish it. Nothing is written into a ring that was reset meanwhile: peek() tells.
  void answer(const RingAnswer& answer);
  // Moves the mailbox's tail over the carriers used, and over PADs and TMRs up to there. Returns whether it
  // moved, so whether the kernel needs a kick.
  bool publish();

  // Somebody has reset the ring: what was taken has been ended, and its part of the data area may be others'.
  // The tail is ours alone, but for the kernel's action/reset_ring, which tells nobody (tcmu_reset_ring).
  [[nodiscard]] bool was_reset() const {
    const auto tail = load_relaxed(object_at<std::uint32_t>(region_, offsetof(kernel::Mailbox, tail)));
    return found_reset_ || tail != published_ || (tail == 0 && begun_anew());
  }

  // Where the kernel writes next: it has moved when commands came.
  [[nodiscard]] std::uint32_t head() const {
    return load_acquire(object_at<std::uint32_t>(region_, offsetof(kernel::Mailbox, head)));
  }

  [[nodiscard]] bool read_len_supported() const { return read_len_supported_; }
  // The part of the region that segments may lie in.
  [[nodiscard]] std::span<std::byte> region() const { return region_; }

 private:
  CommandRing() = default;
  [[nodiscard]] static Result<CommandRing> look_at(std::span<std::byte> region, JournalCursors& cursors);
  struct Entry;
  [[nodiscard]] Result<Entry> entry_at(std::uint32_t at, std::uint32_t head) const;
  [[nodiscard]] Result<RingCommand> parse_command(const Entry& entry) const;
  [[nodiscard]] Result<RingTaskManagement> parse_task_management(const Entry& entry) const;
  [[nodiscard]] std::uint32_t after(std::uint32_t at, std::uint32_t length) const;
  [[nodiscard]] bool is_command(std::uint32_t at) const;
  [[nodiscard]] std::uint32_t length_at(std::uint32_t at) const;
  [[nodiscard]] std::uint32_t way(std::uint32_t from, std::uint32_t to) const;
  [[nodiscard]] bool between(std::uint32_t from, std::uint32_t at, std::uint32_t to) const;
  // Of a ring whose tail is 0, before a reset and after it: the head has gone back to before what was taken,
  // or new entries, which lack the mark, lie there.
  [[nodiscard]] bool begun_anew() const { return next_ != 0 && (head() < next_ || !carrier_from(0)); }
  void move_next(std::uint64_t count, std::uint32_t to);
  [[nodiscard]] std::optional<std::uint32_t> carrier_from(std::uint32_t at) const;

  std::span<std::byte> region_;
  JournalCursors* cursors_ = nullptr;
  std::uint32_t ring_offset_ = 0;
  std::uint32_t ring_bytes_ = 0;
  bool read_len_supported_ = false;
  bool task_management_supported_ = false;
  bool found_reset_ = false;
  std::uint32_t next_ = 0;
  std::uint32_t tail_ = 0;       // ours; ahead of the mailbox's until publish()
  std::uint32_t published_ = 0;  // the mailbox's
};

}  // namespace bulkhead::supervisor
