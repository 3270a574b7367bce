// The part of the data path that goes on with a dead supervisor's commands: see adopt_host().
#include <algorithm>
#include <utility>
#include <variant>

#include "supervisor/pump/data_path.h"
#include "supervisor/pump/monotonic.h"

namespace bulkhead::supervisor {

void DataPath::adopt_host(std::unique_ptr<Channel> channel) {
  BULKHEAD_CHECK(!channel_ && channel->size().slots == table_.slots());
  channel_ = std::move(channel);
  perhaps_again_ = true;
  next_to_submit_.reset();
  for (auto i = table_.oldest(); i; i = table_.newer_than(*i)) {
    const InFlightCommand& command = table_.at(*i);
    Progress progress = command.progress;
    if (progress.state == CommandState::Submitted) {
      if (channel_->seen_by_host(command.submit_index)) continue;
      progress.state = CommandState::Waiting;
      table_.set_progress(*i, progress);
      with_host(command, -1);
    }
    // Not one that the host has: its answer may be there before we come to it.
    if (!next_to_submit_) next_to_submit_ = i;
  }
  channel_->ring_host();
  end_adopted_stall();
  tell_aborted_again();
}

void DataPath::lose_adopted_host() {
  now_ns_ = monotonic_ns();
  end_adopted_stall();
  lose_host({});
  flush();
}

// Nobody looked at the ring while there was no supervisor. When it ended, nobody knows: not before its last
// turn. Without commands, here or in the ring, that turn may be long ago, and nothing waited.
void DataPath::end_adopted_stall() {
  const auto next = ring_.peek();
  const bool more = next && !std::holds_alternative<std::monostate>(*next);
  if (table_.size() == 0 && !more) return;
  const std::uint64_t last = journal_->cursors().last_turn_ns;
  const std::uint64_t now = monotonic_ns();
  if (last == 0 || last > now) return;
  stats_->longest_stall_us.set(std::max(stats_->longest_stall_us.get(), (now - last) / 1000));
}

// Whether the dead supervisor lived to tell the host, nobody knows; to hear it twice does no harm.
void DataPath::tell_aborted_again() {
  listed_.clear();
  for (auto i = table_.oldest(); i; i = table_.newer_than(*i)) {
    const Progress& progress = table_.at(*i).progress;
    if (progress.state == CommandState::Submitted && progress.aborted)
      listed_.push_back({*i, progress.generation});
  }
  if (listed_.empty()) return;
  events_.task_management({.function = TaskFunction::AbortTask, .with_host = listed_, .answered = 0});
}

}  // namespace bulkhead::supervisor
