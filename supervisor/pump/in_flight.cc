#include "supervisor/pump/in_flight.h"

#include <algorithm>

#include "base/error.h"

namespace bulkhead::supervisor {
namespace {

std::uint64_t pages_for(const RingCommand& command) {
  // More segments than pages can't come from the kernel, but a wrong guess here would write past the array.
  const std::uint64_t by_data = (command.data_bytes + channel::kPage - 1) / channel::kPage;
  return std::max<std::uint64_t>(by_data, command.segments);
}

}  // namespace

InFlightTable::InFlightTable(std::uint32_t slots, std::uint32_t pages)
    : commands_(slots), segments_(pages), pages_(pages) {
  free_.reserve(slots);
  for (std::uint32_t i = slots; i > 0; --i) free_.push_back(i - 1);
}

bool InFlightTable::too_large(const RingCommand& command) const {
  return pages_for(command) > pages_.pages();
}

std::optional<SlotIndex> InFlightTable::add(const RingCommand& command, std::uint64_t now_ns) {
  if (free_.empty() || too_large(command)) return std::nullopt;
  const auto pages = static_cast<std::uint32_t>(pages_for(command));
  std::uint32_t first_page = 0;
  if (pages != 0) {
    auto run = pages_.take(pages);
    if (!run) return std::nullopt;
    first_page = *run;
  }
  const std::uint32_t index = free_.back();
  free_.pop_back();
  InFlightCommand& slot = commands_[index];
  slot.state = CommandState::Waiting;
  slot.facts = kOpcodeFacts[command.cdb[0]];
  slot.id = command.id;
  slot.cdb_bytes = command.cdb_bytes;
  slot.cdb = command.cdb;
  slot.replays = 0;
  slot.aborted = false;
  slot.first_page = first_page;
  slot.pages = pages;
  slot.segments = command.segments;
  slot.data_bytes = command.data_bytes;
  slot.arrived_ns = now_ns;
  slot.older = newest_;
  slot.newer = InFlightCommand::kNone;
  if (newest_ != InFlightCommand::kNone)
    commands_[newest_].newer = index;
  else
    oldest_ = index;
  newest_ = index;
  ++size_;
  return SlotIndex{index};
}

void InFlightTable::remove(SlotIndex index) {
  InFlightCommand& slot = at(index);
  BULKHEAD_CHECK(slot.state != CommandState::Free);
  if (slot.pages != 0) pages_.give_back(slot.first_page, slot.pages);
  (slot.older != InFlightCommand::kNone ? commands_[slot.older].newer : oldest_) = slot.newer;
  (slot.newer != InFlightCommand::kNone ? commands_[slot.newer].older : newest_) = slot.older;
  slot.state = CommandState::Free;
  --size_;
  free_.push_back(index.value);
}

std::span<KernelSegment> InFlightTable::segments_of(SlotIndex index) {
  const InFlightCommand& slot = at(index);
  return std::span(segments_).subspan(slot.first_page, slot.segments);
}

}  // namespace bulkhead::supervisor
