#include "supervisor/pump/in_flight.h"

#include <algorithm>

#include "base/error.h"
#include "supervisor/journal/persist.h"

namespace bulkhead::supervisor {
namespace {

std::uint64_t pages_for(const RingCommand& command) {
  // More segments than pages can't come from the kernel, but a wrong guess here would write past the array.
  const std::uint64_t by_data = (command.data_bytes + channel::kPage - 1) / channel::kPage;
  return std::max<std::uint64_t>(by_data, command.segments);
}

InFlightCommand record_of(const RingCommand& command, std::uint64_t sequence, std::uint64_t now_ns) {
  return {.sequence = sequence,
          .arrived_ns = now_ns,
          .id = command.id,
          .cdb_bytes = command.cdb_bytes,
          .facts = kOpcodeFacts[command.cdb[0]],
          .cdb = command.cdb};
}

}  // namespace

InFlightTable::InFlightTable(std::shared_ptr<Journal> journal)
    : journal_(std::move(journal)),
      commands_(journal_->commands()),
      segments_(journal_->segments()),
      pages_(journal_->pages()) {
  free_.reserve(slots());
  if (journal_->adopted()) adopt();
  for (std::uint32_t i = slots(); i > 0; --i)
    if (commands_[i - 1].progress.state == CommandState::Free) free_.push_back(i - 1);
}

void InFlightTable::adopt() {
  const JournalCursors& cursors = journal_->cursors();
  std::vector<std::uint32_t> found;
  for (std::uint32_t i = 0; i < slots(); ++i) {
    InFlightCommand& slot = commands_[i];
    if (slot.progress.state == CommandState::Free) continue;
    const bool taken = slot.sequence < cursors.taken.count();
    const bool answered = slot.sequence + 1 == cursors.answered.count();
    if (taken && !answered) {
      BULKHEAD_CHECK(slot.first_page <= pages_.pages() && slot.pages <= pages_.pages() - slot.first_page &&
                     slot.segments <= slot.pages);
      slot.facts = kOpcodeFacts[slot.cdb[0]];
      if (slot.pages != 0) pages_.claim(slot.first_page, slot.pages);
      found.push_back(i);
      continue;
    }
    Progress progress = slot.progress;
    progress.state = CommandState::Free;
    persist(slot.progress, progress);
  }
  std::ranges::sort(found, {}, [this](std::uint32_t i) { return commands_[i].sequence; });
  for (const std::uint32_t index : found) append(index);
}

bool InFlightTable::too_large(const RingCommand& command) const {
  return pages_for(command) > pages_.pages();
}

std::optional<SlotIndex> InFlightTable::add(const RingCommand& command, std::uint64_t sequence,
                                            std::uint64_t now_ns) {
  if (free_.empty() || too_large(command)) return std::nullopt;
  InFlightCommand record = record_of(command, sequence, now_ns);
  record.pages = static_cast<std::uint32_t>(pages_for(command));
  record.segments = command.segments;
  record.data_bytes = command.data_bytes;
  if (record.pages != 0) {
    auto run = pages_.take(record.pages);
    if (!run) return std::nullopt;
    record.first_page = *run;
  }
  return place(record, CommandState::Waiting);
}

std::optional<SlotIndex> InFlightTable::add_too_large(const RingCommand& command, std::uint64_t sequence,
                                                      std::uint64_t now_ns) {
  if (free_.empty()) return std::nullopt;
  return place(record_of(command, sequence, now_ns), CommandState::TooLarge);
}

// Free until all of it is there: a slot that is found half written must not look like a command.
std::optional<SlotIndex> InFlightTable::place(InFlightCommand command, CommandState state) {
  const std::uint32_t index = free_.back();
  free_.pop_back();
  InFlightCommand& slot = commands_[index];
  command.progress.generation = slot.progress.generation;
  persist_object(slot, command);
  command.progress.state = state;
  persist(slot.progress, command.progress);
  append(index);
  return SlotIndex{index};
}

void InFlightTable::append(std::uint32_t index) {
  commands_[index].older = newest_;
  commands_[index].newer = InFlightCommand::kNone;
  if (newest_ != InFlightCommand::kNone)
    commands_[newest_].newer = index;
  else
    oldest_ = index;
  newest_ = index;
  ++size_;
}

void InFlightTable::set_progress(SlotIndex index, Progress progress) {
  persist(at(index).progress, progress);
}

void InFlightTable::remove(SlotIndex index) {
  InFlightCommand& slot = at(index);
  BULKHEAD_CHECK(slot.progress.state != CommandState::Free);
  if (slot.pages != 0) pages_.give_back(slot.first_page, slot.pages);
  (slot.older != InFlightCommand::kNone ? commands_[slot.older].newer : oldest_) = slot.newer;
  (slot.newer != InFlightCommand::kNone ? commands_[slot.newer].older : newest_) = slot.older;
  Progress progress = slot.progress;
  progress.state = CommandState::Free;
  persist(slot.progress, progress);
  --size_;
  free_.push_back(index.value);
}

std::span<KernelSegment> InFlightTable::segments_of(SlotIndex index) {
  const InFlightCommand& slot = at(index);
  return segments_.subspan(slot.first_page, slot.segments);
}

}  // namespace bulkhead::supervisor
