// The commands a device's pump has taken from the kernel and not answered yet: the supervisor's own copy,
// from which they are given to a fresh host when one dies.
//
// Fixed memory, made once: a slot for each command, a page run in the channel's data file for its buffer, and
// a place for its kernel segments. A command has at most one segment per 4 KiB block of its data (the kernel
// merges neighbours), so segment i of a command is kept at index first_page + i of one array with an entry
// per page. Threads: the device's pump.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/quantity.h"
#include "proto/channel_abi.h"
#include "proto/opcode_facts.h"
#include "supervisor/channel/page_map.h"
#include "supervisor/ring/command_ring.h"

namespace bulkhead::supervisor {

enum class CommandState : std::uint8_t {
  Free,
  Waiting,    // no host has it
  Submitted,  // the present host has it
};

struct InFlightCommand {
  CommandState state = CommandState::Free;
  OpcodeFacts facts{};
  CmdId id;
  std::uint16_t cdb_bytes = 0;
  std::array<std::uint8_t, channel::kCdbBytes> cdb{};
  std::uint32_t generation = 0;  // of the slot; grows with each submission
  std::uint32_t replays = 0;     // hosts that died with it
  bool aborted = false;          // the kernel waits for its end, and discards what it is answered
  std::uint32_t first_page = 0;
  std::uint32_t pages = 0;
  std::uint32_t segments = 0;
  std::uint64_t data_bytes = 0;
  std::uint64_t arrived_ns = 0;
  // Arrival order, as a list through the slots.
  std::uint32_t older = kNone;
  std::uint32_t newer = kNone;
  static constexpr std::uint32_t kNone = ~std::uint32_t{0};
};

class InFlightTable {
 public:
  InFlightTable(std::uint32_t slots, std::uint32_t pages);

  // Room for `command`: a slot with its pages, in state Waiting, newest in the order. nullopt: no room now.
  [[nodiscard]] std::optional<SlotIndex> add(const RingCommand& command, std::uint64_t now_ns);
  void remove(SlotIndex index);

  [[nodiscard]] InFlightCommand& at(SlotIndex index) { return commands_[index.value]; }
  [[nodiscard]] std::span<KernelSegment> segments_of(SlotIndex index);
  [[nodiscard]] std::uint32_t slots() const { return static_cast<std::uint32_t>(commands_.size()); }
  [[nodiscard]] std::uint32_t size() const { return size_; }
  // Larger than anything add() could ever take.
  [[nodiscard]] bool too_large(const RingCommand& command) const;

  // Oldest first: `for (auto i = oldest(); i; i = newer_than(*i))`.
  [[nodiscard]] std::optional<SlotIndex> oldest() const { return some(oldest_); }
  [[nodiscard]] std::optional<SlotIndex> newer_than(SlotIndex index) const {
    return some(commands_[index.value].newer);
  }

 private:
  static std::optional<SlotIndex> some(std::uint32_t index) {
    if (index == InFlightCommand::kNone) return std::nullopt;
    return SlotIndex{index};
  }

  std::vector<InFlightCommand> commands_;
  std::vector<std::uint32_t> free_;  // a stack: the last slot used is the warmest
  std::vector<KernelSegment> segments_;
  PageMap pages_;
  std::uint32_t oldest_ = InFlightCommand::kNone;
  std::uint32_t newest_ = InFlightCommand::kNone;
  std::uint32_t size_ = 0;
};

}  // namespace bulkhead::supervisor
