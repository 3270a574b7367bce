// The commands a device's pump has taken from the kernel and not answered yet: the supervisor's own copy,
// from which they are given to a fresh host when one dies.
//
// Its memory is the journal's (journal_abi.h): a slot for each command, a page run in the channel's data file
// for its buffer, and a place for its kernel segments. A command has at most one segment per 4 KiB block of
// its data (the kernel merges neighbours), so segment i of a command is kept at index first_page + i of one
// array with an entry per page. Threads: the device's pump.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/quantity.h"
#include "proto/channel_abi.h"
#include "supervisor/channel/page_map.h"
#include "supervisor/journal/journal.h"
#include "supervisor/ring/command_ring.h"

namespace bulkhead::supervisor {

class InFlightTable {
 public:
  // An adopted journal's commands are found again, but for the one that its supervisor had answered last.
  explicit InFlightTable(std::shared_ptr<Journal> journal);

  // Room for `command`: a slot with its pages, in state Waiting, newest in the order. nullopt: no room now.
  // It counts for a successor when the ring has moved beyond `sequence`.
  [[nodiscard]] std::optional<SlotIndex> add(const RingCommand& command, std::uint64_t sequence,
                                             std::uint64_t now_ns);
  // The same for a command that is too_large(): it has no buffer.
  [[nodiscard]] std::optional<SlotIndex> add_too_large(const RingCommand& command, std::uint64_t sequence,
                                                       std::uint64_t now_ns);
  void remove(SlotIndex index);
  // Changes what changes at once.
  void set_progress(SlotIndex index, Progress progress);

  [[nodiscard]] InFlightCommand& at(SlotIndex index) { return commands_[index.value]; }
  [[nodiscard]] std::span<KernelSegment> segments_of(SlotIndex index);
  [[nodiscard]] std::uint32_t slots() const { return journal_->slots(); }
  [[nodiscard]] std::uint32_t size() const { return size_; }
  // Larger than anything add() could ever take.
  [[nodiscard]] bool too_large(const RingCommand& command) const;

  // Oldest first: `for (auto i = oldest(); i; i = newer_than(*i))`.
  [[nodiscard]] std::optional<SlotIndex> oldest() const { return some(oldest_); }
  [[nodiscard]] std::optional<SlotIndex> newer_than(SlotIndex index) const {
    return some(commands_[index.value].newer);
  }

 private:
  void adopt();
  void append(std::uint32_t index);
  [[nodiscard]] std::optional<SlotIndex> place(InFlightCommand command, CommandState state);
  static std::optional<SlotIndex> some(std::uint32_t index) {
    if (index == InFlightCommand::kNone) return std::nullopt;
    return SlotIndex{index};
  }

  std::shared_ptr<Journal> journal_;
  std::span<InFlightCommand> commands_;
  std::span<KernelSegment> segments_;
  std::vector<std::uint32_t> free_;  // a stack: the last slot used is the warmest
  PageMap pages_;
  std::uint32_t oldest_ = InFlightCommand::kNone;
  std::uint32_t newest_ = InFlightCommand::kNone;
  std::uint32_t size_ = 0;
};

}  // namespace bulkhead::supervisor
