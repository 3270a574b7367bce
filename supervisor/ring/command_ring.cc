#include "supervisor/ring/command_ring.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/shared_memory.h"
#include "proto/opcode_facts.h"
#include "supervisor/journal/persist.h"
#include "supervisor/ring/kernel_abi.h"

namespace bulkhead::supervisor {
namespace {

static_assert(sizeof(kernel::Response::sense) == channel::kSenseBytes);

template <class T>
T read_field(std::span<const std::byte> region, std::size_t at) {
  T value;
  std::memcpy(&value, region.data() + at, sizeof value);
  return value;
}

std::uint32_t length_of(std::uint32_t len_op) {
  return len_op & ~kernel::kOpMask;
}
kernel::Op op_of(std::uint32_t len_op) {
  return static_cast<kernel::Op>(len_op & kernel::kOpMask);
}

// In `kflags` of every command that was taken, also once an answer lies there. A carrier without it is a new
// entry, so the ring was reset.
constexpr std::uint8_t kTaken = 0x80;

std::unexpected<Error> malformed(std::uint32_t at, std::string_view why) {
  return fail(Cause::PeerBroken, EPROTO, fmt::format("command ring entry at byte {}: {}", at, why));
}

}  // namespace

CmdId RingTaskManagement::id(std::size_t index) const {
  return CmdId{read_field<std::uint16_t>(ids, index * sizeof(std::uint16_t))};
}

bool RingTaskManagement::lists(CmdId wanted) const {
  for (std::size_t i = 0; i < size(); ++i)
    if (id(i) == wanted) return true;
  return false;
}

struct CommandRing::Entry {
  std::uint32_t at;
  std::uint32_t length;
  kernel::Op op;
  std::size_t in_region;
};

Result<CommandRing> CommandRing::look_at(std::span<std::byte> region, JournalCursors& cursors) {
  if (region.size() < sizeof(kernel::Mailbox))
    return fail(Cause::BadInput, EINVAL, "uio region has no mailbox");
  const auto mailbox = read_field<kernel::Mailbox>(region, 0);
  if (mailbox.version != kernel::kMailboxVersion)
    return fail(
        Cause::BadInput, EPROTONOSUPPORT,
        fmt::format("mailbox version {}, this daemon speaks {}", mailbox.version, kernel::kMailboxVersion));
  // Without OOOC a slow command would have to hold back all later ones. Every kernel since 4.8 has it.
  if ((mailbox.flags & kernel::kFlagOutOfOrder) == 0)
    return fail(Cause::BadInput, EPROTONOSUPPORT, "kernel without out-of-order completion (OOOC)");
  const std::uint64_t end = std::uint64_t{mailbox.ring_offset} + mailbox.ring_bytes;
  if (mailbox.ring_offset < sizeof(kernel::Mailbox) || mailbox.ring_bytes == 0 ||
      mailbox.ring_bytes > RingMark::kMaxRing || mailbox.ring_bytes % 8 != 0 ||
      mailbox.ring_offset % 8 != 0 || end > region.size() || mailbox.tail >= mailbox.ring_bytes ||
      mailbox.tail % 8 != 0)
    return fail(Cause::BadInput, EPROTO, "mailbox with impossible offsets");
  CommandRing ring;
  ring.region_ = region;
  ring.cursors_ = &cursors;
  ring.ring_offset_ = mailbox.ring_offset;
  ring.ring_bytes_ = mailbox.ring_bytes;
  ring.read_len_supported_ = (mailbox.flags & kernel::kFlagReadLen) != 0;
  ring.task_management_supported_ = (mailbox.flags & kernel::kFlagTaskManagement) != 0;
  ring.published_ = mailbox.tail;
  return ring;
}

Result<CommandRing> CommandRing::attach(std::span<std::byte> region, JournalCursors& cursors) {
  auto ring = look_at(region, cursors);
  if (!ring) return ring;
  ring->next_ = ring->tail_ = ring->published_;
  cursors.taken = RingMark(0, ring->next_);
  cursors.answered = RingMark(0, ring->tail_);
  cursors.publishing = RingMove{ring->tail_, ring->tail_};
  return ring;
}

Result<CommandRing> CommandRing::adopt(std::span<std::byte> region, JournalCursors& cursors) {
  auto ring = look_at(region, cursors);
  if (!ring) return ring;
  ring->next_ = cursors.taken.offset();
  ring->tail_ = cursors.answered.offset();
  const RingMove move = cursors.publishing;
  if (ring->published_ != move.from && ring->published_ != move.to)
    return malformed(ring->published_, "the tail was moved by somebody else: the ring was reset");
  // publish() steps over PADs and task management without saying so in `answered`.
  if (ring->between(ring->tail_, ring->published_, ring->next_)) ring->tail_ = ring->published_;
  const std::uint32_t head = ring->head();
  if (head >= ring->ring_bytes_ || !ring->between(ring->published_, ring->tail_, ring->next_) ||
      !ring->between(ring->published_, ring->next_, head))
    return malformed(ring->next_, "the journal and the ring do not agree");
  return ring;
}

// On the way around the ring from `from`, is `at` met before `to` is passed?
bool CommandRing::between(std::uint32_t from, std::uint32_t at, std::uint32_t to) const {
  return at < ring_bytes_ && to < ring_bytes_ && way(from, at) <= way(from, to);
}

std::uint32_t CommandRing::way(std::uint32_t from, std::uint32_t to) const {
  return to >= from ? to - from : to + ring_bytes_ - from;
}

std::uint32_t CommandRing::after(std::uint32_t at, std::uint32_t length) const {
  return (at + length) % ring_bytes_;
}

Result<CommandRing::Entry> CommandRing::entry_at(std::uint32_t at, std::uint32_t head) const {
  const std::size_t in_region = std::size_t{ring_offset_} + at;
  const auto len_op = read_field<std::uint32_t>(region_, in_region);
  const std::uint32_t length = length_of(len_op);
  // Length 0 is what fresh memory reads as: following it would never end.
  if (length < sizeof(kernel::EntryHeader) || length > ring_bytes_ - at)
    return malformed(at, fmt::format("length {} does not fit", length));
  // Past a head that no entry begins at a walk would have no end, and would take carriers for new commands.
  if (length > way(at, head)) return malformed(at, fmt::format("length {} goes beyond the head", length));
  return Entry{at, length, op_of(len_op), in_region};
}

Result<RingCommand> CommandRing::parse_command(const Entry& entry) const {
  if (entry.length < kernel::kSmallestCommand) return malformed(entry.at, "command entry too short");
  const auto request = read_field<kernel::Request>(region_, entry.in_region);
  const std::uint32_t segments = request.segments;
  const std::uint64_t cdb_at = request.cdb_offset;
  if (segments > (entry.length - sizeof(kernel::Request)) / sizeof(KernelSegment))
    return malformed(entry.at, fmt::format("{} segments do not fit in {} bytes", segments, entry.length));
  const std::uint64_t entry_end = entry.in_region + entry.length;
  if (cdb_at < entry.in_region + kernel::kSmallestCommand || cdb_at > entry_end - 8)
    return malformed(entry.at, "CDB outside of its entry");

  RingCommand command;
  command.id = CmdId{request.header.cmd_id};
  command.segments = segments;
  const auto length =
      cdb_length(read_field<std::uint8_t>(region_, cdb_at), read_field<std::uint8_t>(region_, cdb_at + 7));
  if (length > entry_end - cdb_at) return malformed(entry.at, fmt::format("CDB of {} bytes is cut", length));
  command.cdb_bytes = static_cast<std::uint16_t>(length);
  std::memcpy(command.cdb.data(), region_.data() + cdb_at, std::min(length, command.cdb.size()));
  for (std::uint32_t i = 0; i < segments; ++i) {
    const auto segment = read_field<KernelSegment>(
        region_, entry.in_region + sizeof(kernel::Request) + i * sizeof(KernelSegment));
    if (segment.offset < ring_offset_ + std::uint64_t{ring_bytes_} || segment.offset > region_.size() ||
        segment.bytes > region_.size() - segment.offset)
      return malformed(entry.at, "segment outside of the data area");
    command.data_bytes += segment.bytes;
  }
  return command;
}

Result<RingTaskManagement> CommandRing::parse_task_management(const Entry& entry) const {
  if (entry.length < sizeof(kernel::TaskManagement))
    return malformed(entry.at, "task management entry too short");
  const auto request = read_field<kernel::TaskManagement>(region_, entry.in_region);
  if (request.ids > (entry.length - sizeof request) / sizeof(std::uint16_t))
    return malformed(entry.at,
                     fmt::format("{} command ids do not fit in {} bytes", request.ids, entry.length));
  return RingTaskManagement{request.function, region_.subspan(entry.in_region + sizeof request,
                                                              request.ids * sizeof(std::uint16_t))};
}

Result<RingEntry> CommandRing::peek() {
  const std::uint32_t head = this->head();
  if (head >= ring_bytes_ || head % 8 != 0) return malformed(head, "head outside of the ring");
  if (was_reset()) return malformed(published_, "the tail was moved by somebody else: the ring was reset");
  while (next_ != head) {
    auto entry = entry_at(next_, head);
    if (!entry) return std::unexpected(std::move(entry.error()));
    if (entry->op == kernel::Op::Command) {
      auto command = parse_command(*entry);
      if (!command) return std::unexpected(std::move(command.error()));
      return RingEntry(*command);
    }
    if (entry->op == kernel::Op::TaskManagement && task_management_supported_) {
      auto request = parse_task_management(*entry);
      if (!request) return std::unexpected(std::move(request.error()));
      return RingEntry(*request);
    }
    move_next(sequence(), after(next_, entry->length));  // PAD, which fills the ring's end
  }
  return RingEntry();
}

void CommandRing::move_next(std::uint64_t count, std::uint32_t to) {
  next_ = to;
  persist(cursors_->taken, RingMark(count, to));
}

void CommandRing::take(const RingCommand& command, std::span<KernelSegment> segments) {
  BULKHEAD_CHECK(segments.size() >= command.segments);
  const std::size_t in_region = std::size_t{ring_offset_} + next_;
  if (command.segments != 0)
    persist_bytes(
        std::as_writable_bytes(segments),
        region_.subspan(in_region + sizeof(kernel::Request), command.segments * sizeof(KernelSegment)));
  take_without_data();
}

void CommandRing::take_without_data() {
  const std::size_t flags = std::size_t{ring_offset_} + next_ + offsetof(kernel::EntryHeader, kflags);
  persist(object_at<std::uint8_t>(region_, flags), kTaken);
  move_next(sequence() + 1, after(next_, length_at(next_)));
}

void CommandRing::step_over() {
  move_next(sequence(), after(next_, length_at(next_)));
}

std::uint32_t CommandRing::length_at(std::uint32_t at) const {
  return length_of(read_field<std::uint32_t>(region_, std::size_t{ring_offset_} + at));
}

bool CommandRing::is_command(std::uint32_t at) const {
  return op_of(read_field<std::uint32_t>(region_, std::size_t{ring_offset_} + at)) == kernel::Op::Command;
}

// Where the oldest command entry is, from `at` on; next_: there is none. None: what lies there is not what
// was taken, so the ring was reset while its tail was where a reset puts it.
std::optional<std::uint32_t> CommandRing::carrier_from(std::uint32_t at) const {
  while (at != next_ && !is_command(at)) {
    const std::uint32_t length = length_at(at);
    if (length < sizeof(kernel::EntryHeader) || length > way(at, next_)) return std::nullopt;
    at = after(at, length);
  }
  if (at == next_) return at;
  const auto header = read_field<kernel::EntryHeader>(region_, std::size_t{ring_offset_} + at);
  if (header.kflags != kTaken || length_of(header.len_op) > way(at, next_)) return std::nullopt;
  return at;
}

void CommandRing::answer(const RingAnswer& answer) {
  // Its command has been ended, and other entries lie where it was: their bytes are no lengths to walk by.
  // peek() tells.
  if (was_reset()) return;
  const auto carrier = carrier_from(tail_);
  // Each answer has a command that was taken, and each command taken left one carrier.
  if (!carrier || *carrier == next_) {
    found_reset_ = true;
    return;
  }
  const std::uint32_t at = *carrier;
  const std::size_t slot = std::size_t{ring_offset_} + at;
  kernel::Response response{};
  response.scsi_status = answer.scsi_status;
  response.read_len = answer.read_len;
  // The kernel hands all 96 bytes to the initiator: those without sense are zero.
  std::copy_n(answer.sense.begin(), std::min(answer.sense.size(), channel::kSenseBytes), response.sense);
  // Of the header neither len_op, by which the kernel walks, nor kflags: after a reset just now a new entry
  // may lie here, and must not get the mark.
  constexpr std::size_t body = sizeof(kernel::EntryHeader);
  persist_bytes(region_.subspan(slot + body, sizeof response - body),
                std::as_bytes(std::span(&response, 1)).subspan(body));
  persist(object_at<std::uint16_t>(region_, slot + offsetof(kernel::EntryHeader, cmd_id)), answer.id.value);
  // Assigned, not or-ed: the carrier's flags are those of a command long gone.
  persist(object_at<std::uint8_t>(region_, slot + offsetof(kernel::EntryHeader, uflags)),
          answer.read_len > 0 && read_len_supported_ ? kernel::kUflagReadLen : std::uint8_t{0});
  tail_ = after(at, length_at(at));
  persist(cursors_->answered, RingMark(answer.sequence + 1, tail_));
}

bool CommandRing::publish() {
  if (tail_ == published_ && (tail_ == next_ || is_command(tail_))) return false;
  if (was_reset()) return false;
  // Entries without an answer of their own would keep the tail from ever meeting the head of an idle ring.
  const auto end = carrier_from(tail_);
  if (!end) {
    found_reset_ = true;
    return false;
  }
  tail_ = *end;
  if (tail_ == published_) return false;
  persist(cursors_->publishing, RingMove{published_, tail_});
  // Not a plain store: after a reset just now the kernel would take new requests for answers. A tail of 0 is
  // the same after it, so there a second look must do; the kernel does not before it is kicked.
  crash_point();
  auto& tail = object_at<std::uint32_t>(region_, offsetof(kernel::Mailbox, tail));
  if (!std::atomic_ref(tail).compare_exchange_strong(published_, tail_)) {
    found_reset_ = true;
    return false;
  }
  if (std::exchange(published_, tail_) != 0 || !begun_anew()) return true;
  std::uint32_t ours = tail_;
  std::atomic_ref(tail).compare_exchange_strong(ours, 0);
  found_reset_ = true;
  return false;
}

}  // namespace bulkhead::supervisor
