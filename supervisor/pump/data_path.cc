#include "supervisor/pump/data_path.h"

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "base/probes.h"
#include "supervisor/journal/persist.h"
#include "supervisor/pump/completion_check.h"
#include "supervisor/pump/guarded_copy.h"
#include "supervisor/pump/monotonic.h"

namespace bulkhead::supervisor {
namespace {

// So much of each kind of work before another device of this pump gets its turn.
constexpr int kBatch = 64;
// Deaths a command may be in flight at before it is tried alone, and then, before it is given up.
constexpr std::uint32_t kSuspectAfter = 2;
constexpr std::uint32_t kPoisonAfter = 3;
// An honest host rings once for each sleep of ours, behind an answer; so it is never ahead by more than one.
constexpr std::uint32_t kMostEmptyRings = 10'000;
// Of what is done by grant before the kernel is told: it may go on with some while we do the rest.
constexpr std::uint64_t kGrantedAtOnce = 128 * 1024;

bool is_good(std::uint8_t status) {
  return status == kStatusGood || status == kStatusConditionMet;
}

}  // namespace

DataPath::DataPath(CommandRing ring, std::shared_ptr<Journal> journal, std::shared_ptr<DeviceStats> stats,
                   Events& events, std::move_only_function<void()> kick)
    : journal_(std::move(journal)),
      ring_(ring),
      table_(journal_),
      stats_(std::move(stats)),
      events_(events),
      kick_(std::move(kick)),
      reads_of_(table_.slots(), kNoRead),
      kick_owed_(journal_->adopted()) {
  listed_.reserve(table_.slots());
  for (auto i = table_.oldest(); i;) {
    const SlotIndex index = *i;
    i = table_.newer_than(index);
    const Progress& progress = table_.at(index).progress;
    if (progress.state == CommandState::Submitted) with_host(table_.at(index), 1);
    if (progress.replays >= kSuspectAfter) ++suspects_;
    if (progress.state == CommandState::TooLarge) fail_command(index, kTransferTooLong);
  }
}

bool DataPath::work() {
  now_ns_ = monotonic_ns();
  journal_->cursors().last_turn_ns = now_ns_;
  if (channel_) channel_->wake();
  const bool more_answers = reap();
  if (!broken_) seen_head_ = ring_.head();
  const bool more_commands = consume();
  const std::uint32_t before = table_.size();
  const bool more_to_submit = submit_waiting();
  if (limits_.refuse && !channel_) end_waits();
  // What was answered there has left room for commands that are still in the ring.
  const bool room_again = no_room_ns_ != 0 && table_.size() < before;
  flush();
  show_load();
  if (table_.size() != 0 && !std::exchange(watched_, true)) events_.busy();
  if (tell_idle_ && submitted_ == 0 && (held_ || table_.size() == 0)) {
    tell_idle_ = false;
    events_.idle();
  }
  const bool lost_ring = !broken_ && ring_.was_reset();  // the next turn tells
  return more_answers || more_commands || more_to_submit || room_again || lost_ring;
}

// Once nothing is left to do, a host that answers must ring; one that answered just now did not.
bool DataPath::rest() {
  return !channel_ || channel_->prepare_sleep();
}

// Commands for which there was no room are none: they wait for an answer.
bool DataPath::has_news() const {
  return (channel_ && channel_->has_completion()) || (!broken_ && ring_.head() != seen_head_);
}

bool DataPath::comes_soon() {
  if (reading_ != 0) return false;  // storage tells by an event
  return (submitted_ != 0 ? for_answers_ : for_commands_).wait([this] { return has_news(); });
}

void DataPath::rung() {
  if (channel_ && ++empty_rings_ > kMostEmptyRings) lose_host("rings of its doorbell without answers");
}

bool DataPath::reap() {
  for (int i = 0; i < kBatch && channel_; ++i) {
    auto entry = channel_->next_completion();
    if (!entry) {
      lose_host(entry.error().what);
      return false;
    }
    if (!*entry) return false;
    if (!dealt_with_before(**entry)) {
      if (auto rule = broken_rule(**entry, table_)) {
        lose_host(*rule);
        return false;
      }
      finish(SlotIndex{(*entry)->slot}, (*entry)->scsi_status,
             std::span((*entry)->sense).first((*entry)->sense_bytes), (*entry)->data_bytes);
    }
    host_answered_ns_ = now_ns_;
    if (empty_rings_ > 0) --empty_rings_;
    channel_->completion_done();
  }
  return channel_ != nullptr;
}

// The supervisor before us may have died between answering the kernel and noting that this entry is done.
bool DataPath::dealt_with_before(const channel::CompletionEntry& entry) {
  if (!std::exchange(perhaps_again_, false) || entry.slot >= table_.slots()) return false;
  const Progress& progress = table_.at(SlotIndex{entry.slot}).progress;
  return progress.state == CommandState::Free && progress.generation == entry.generation;
}

bool DataPath::consume() {
  for (int i = 0; i < kBatch && !broken_; ++i) {
    auto entry = ring_.peek();
    if (!entry) {
      broken_ = true;
      events_.ring_broken(entry.error());
      return false;
    }
    if (const auto* request = std::get_if<RingTaskManagement>(&*entry)) {
      manage(*request);
      ring_.step_over();
      continue;
    }
    const auto* command = std::get_if<RingCommand>(&*entry);
    if (command == nullptr) return false;
    if (table_.too_large(*command)) {
      if (!refuse_too_large(*command)) return false;
      continue;
    }
    auto index = table_.add(*command, ring_.sequence(), arrival_ns());
    if (!index) return no_room();
    no_room_ns_ = 0;
    ring_.take(*command, table_.segments_of(*index));
    BULKHEAD_PROBE4(command_taken, this, command->id.value, command->cdb[0], command->data_bytes);
    if (log_enabled(Level::DebugScsi)) events_.took(table_.at(*index));
    if (!next_to_submit_) next_to_submit_ = *index;
  }
  return !broken_;
}

// The command stays in the ring until an answer makes room.
bool DataPath::no_room() {
  no_room_ns_ = arrival_ns();
  return false;
}

std::uint64_t DataPath::arrival_ns() const {
  return no_room_ns_ != 0 ? no_room_ns_ : now_ns_;
}

// False: no slot is free.
bool DataPath::refuse_too_large(const RingCommand& command) {
  auto index = table_.add_too_large(command, ring_.sequence(), arrival_ns());
  if (!index) return no_room();
  no_room_ns_ = 0;
  ring_.take_without_data();
  fail_command(*index, kTransferTooLong);
  return true;
}

// The kernel waits until these have ended. Those that no host has end here; the others the host must end, as
// it may write their buffers until then.
void DataPath::manage(const RingTaskManagement& request) {
  AbortedTasks tasks{.function = TaskFunction{request.function}, .with_host = {}, .answered = 0};
  (resets_logical_unit(tasks.function) ? stats_->resets : stats_->aborts).add(1);
  listed_.clear();
  for (auto i = table_.oldest(); i;) {
    const SlotIndex index = *i;
    i = table_.newer_than(index);
    InFlightCommand& command = table_.at(index);
    if (!request.lists(command.id)) continue;
    Progress progress = command.progress;
    if (!std::exchange(progress.aborted, true)) {
      stats_->aborted_commands.add(1);
      table_.set_progress(index, progress);
    }
    if (progress.state == CommandState::Submitted) {
      listed_.push_back({index, progress.generation});
      continue;
    }
    finish(index, kStatusTaskAborted, {}, 0);
    ++tasks.answered;
  }
  tasks.with_host = listed_;
  events_.task_management(tasks);
}

// True: there is more that can go on at once.
bool DataPath::submit_waiting() {
  turn_due_ns_ = 0;
  if (!channel_ || held_) return false;
  std::uint64_t granted_bytes = 0;
  while (next_to_submit_ && (suspects_ == 0 || submitted_ == 0) && ring_is_ours()) {
    if (granted_bytes >= kGrantedAtOnce) return true;
    const SlotIndex index = *next_to_submit_;
    if (table_.at(index).progress.state != CommandState::Waiting || reading(index)) {
      next_to_submit_ = table_.newer_than(index);
      continue;
    }
    // Its change is seen wholly or not at all, also by a read that is under way.
    if (reading_ != 0 && excluded_beside(table_.at(index).cdb[0]) == Excludes::All) return false;
    if ((meter_.limits_anything() || refused_ns_ != 0) && !within_limits(index)) return false;
    const std::uint64_t bytes = table_.at(index).data_bytes;
    next_to_submit_ = table_.newer_than(index);
    if (given_up_by_kernel(table_.at(index)))
      expire(index);
    else if (taken_by_grant(index))
      granted_bytes += bytes;
    else if (!submit(index))
      fail_command(index, kInternalTargetFailure);
  }
  return false;
}

void DataPath::with_host(const InFlightCommand& command, int change) {
  const auto amount = static_cast<std::uint32_t>(change);
  submitted_ += amount;
  const Excludes excludes = excluded_beside(command.cdb[0]);
  if (excludes != Excludes::Nothing) exclude_writes_ += amount;
  if (excludes == Excludes::All) exclude_all_ += amount;
}

bool DataPath::submit(SlotIndex index) {
  InFlightCommand& command = table_.at(index);
  const std::uint64_t offset = std::uint64_t{command.first_page} * channel::kPage;
  if (command.facts.direction == channel::Direction::Out ||
      command.facts.direction == channel::Direction::Both) {
    std::uint64_t at = offset;
    for (const KernelSegment& segment : table_.segments_of(index)) {
      crash_point();
      if (!guarded_copy(channel_->data(at, segment.bytes),
                        ring_.region().subspan(segment.offset, segment.bytes)))
        return false;
      at += segment.bytes;
    }
  }
  Progress progress = command.progress;
  progress.state = CommandState::Submitted;
  ++progress.generation;
  persist(command.submit_index, channel_->submit_index());
  command.given_ns = now_ns_;
  table_.set_progress(index, progress);
  with_host(command, 1);
  if (progress.replays > 0) stats_->replayed.add(1);
  channel::Slot slot{.generation = progress.generation,
                     .cmd_id = command.id.value,
                     .cdb_bytes = command.cdb_bytes,
                     .direction = command.facts.direction,
                     .replays = progress.replays,
                     .data_offset = offset,
                     .data_bytes = command.data_bytes,
                     .arrived_ns = command.arrived_ns};
  std::copy(command.cdb.begin(), command.cdb.end(), slot.cdb);
  channel_->submit(index, slot);
  BULKHEAD_PROBE4(command_given, this, command.id.value, index.value, progress.generation);
  return true;
}

bool DataPath::ring_is_ours() const {
  return !broken_ && !ring_.was_reset();
}

// Brings what the host gave to where the kernel fetches it, and sees to it that nothing else of the kernel's
// data area, which holds older commands' bytes, reaches the initiator.
bool DataPath::return_data(SlotIndex index, std::uint32_t data_bytes, RingAnswer& answer) {
  const InFlightCommand& command = table_.at(index);
  std::uint64_t at = std::uint64_t{command.first_page} * channel::kPage;
  std::uint64_t left = data_bytes;
  const bool cut = data_bytes > 0 && data_bytes < command.data_bytes && ring_.read_len_supported();
  if (cut) answer.read_len = data_bytes;
  for (const KernelSegment& segment : table_.segments_of(index)) {
    crash_point();
    const auto to = ring_.region().subspan(segment.offset, segment.bytes);
    const std::uint64_t part = std::min(left, segment.bytes);
    if (part > 0 && !guarded_copy(to, channel_->data(at, part))) return false;
    if (part < segment.bytes) {
      // READ_LEN cuts the rest off; a kernel without it, or a length of 0, which it ignores, needs zeroes.
      if (cut) return true;
      if (!guarded_zero(to.subspan(part))) return false;
    }
    at += part;
    left -= part;
  }
  return true;
}

void DataPath::finish(SlotIndex index, std::uint8_t status, std::span<const std::uint8_t> sense,
                      std::uint32_t data_bytes) {
  const InFlightCommand& command = table_.at(index);
  RingAnswer answer{command.id, command.sequence, status, sense, 0};
  // Also of what has no data: an initiator may have said that it reads, and gets what lies there.
  const bool perhaps_reads = command.facts.direction != channel::Direction::Out;
  if (is_good(status) && perhaps_reads && ring_is_ours() && !return_data(index, data_bytes, answer)) {
    answer.scsi_status = kStatusCheckCondition;
    answer.sense = kInternalTargetFailure;
    answer.read_len = 0;
  }
  this->answer(index, answer, data_bytes);
}

void DataPath::answer(SlotIndex index, const RingAnswer& answer, std::uint32_t data_bytes) {
  const InFlightCommand& command = table_.at(index);
  if (!broken_) ring_.answer(answer);
  count(command, answer.scsi_status, answer.sense, data_bytes);
  if (command.progress.state == CommandState::Submitted) with_host(command, -1);
  if (command.progress.replays >= kSuspectAfter) --suspects_;
  forget_read(index);
  if (next_to_submit_ == index) next_to_submit_ = table_.newer_than(index);
  table_.remove(index);
}

void DataPath::fail_command(SlotIndex index, const FixedSense& sense) {
  finish(index, kStatusCheckCondition, sense, 0);
}

void DataPath::attach(std::unique_ptr<Channel> channel) {
  BULKHEAD_CHECK(!channel_ && channel->size().slots == table_.slots());
  channel_ = std::move(channel);
  grant_ = IoGrant();  // one that came too late for the last channel
  perhaps_again_ = false;
  empty_rings_ = 0;
  persist(journal_->cursors().host_link, HostLink::Attached);
  next_to_submit_ = table_.oldest();
  if (detached_ns_ == 0) return;
  const std::uint64_t stall_us = (monotonic_ns() - detached_ns_) / 1000;
  stats_->longest_stall_us.set(std::max(stats_->longest_stall_us.get(), stall_us));
}

void DataPath::detach() {
  if (!channel_) return;
  now_ns_ = monotonic_ns();
  while (reap()) {
  }
  // reap() has thrown the channel away if the host's last words were lies.
  if (channel_) lose_host({});
  flush();
  show_load();
}

void DataPath::lose_host(std::string_view rule) {
  grant_ = IoGrant();
  retired_ = std::move(channel_);
  detached_ns_ = now_ns_;
  persist(journal_->cursors().host_link, HostLink::Ending);
  for (auto i = table_.oldest(); i;) {
    const SlotIndex index = *i;
    i = table_.newer_than(index);
    if (table_.at(index).progress.state == CommandState::Submitted) retire_submitted(index);
  }
  BULKHEAD_CHECK(submitted_ == 0);
  next_to_submit_ = table_.oldest();
  persist(journal_->cursors().host_link, HostLink::None);
  if (!rule.empty()) events_.host_broke_rule(rule);
}

// What becomes of a command whose host is gone: kept for the next one, or answered now.
void DataPath::retire_submitted(SlotIndex index) {
  InFlightCommand& command = table_.at(index);
  Progress progress = command.progress;
  if (progress.aborted) return finish(index, kStatusTaskAborted, {}, 0);
  if (command.facts.replay == Replay::Never) return fail_command(index, kAbortedCommand);
  if (given_up_by_kernel(command)) return expire(index);
  progress.state = CommandState::Waiting;
  ++progress.replays;
  table_.set_progress(index, progress);
  with_host(command, -1);
  if (progress.replays == kSuspectAfter) ++suspects_;
  if (progress.replays < kPoisonAfter) return;
  stats_->poisoned.add(1);
  events_.poisoned(command);
  fail_command(index, kInternalTargetFailure);
}

void DataPath::flush() {
  if (channel_) channel_->publish();
  if (broken_) return;
  const bool published = ring_.publish();
  if (!std::exchange(kick_owed_, false) && !published) return;
  crash_point();
  kick_();
}

void DataPath::count(const InFlightCommand& command, std::uint8_t status, std::span<const std::uint8_t> sense,
                     std::uint32_t data_bytes) {
  DeviceStats::Kind& kind = stats_->kinds[static_cast<std::size_t>(command.facts.kind)];
  kind.commands.add(1);
  if (is_good(status)) {
    kind.bytes.add(command.facts.direction == channel::Direction::Out ? command.data_bytes : data_bytes);
  } else {
    kind.errors.add(1);
    stats_->errors[static_cast<std::size_t>(classify(status, sense))].add(1);
  }
  const std::uint64_t latency_us = (now_ns_ - std::min(now_ns_, command.arrived_ns)) / 1000;
  BULKHEAD_PROBE4(command_answered, this, command.id.value, status, latency_us);
  stats_->latency.add(latency_us);
  if (command.progress.state == CommandState::Submitted) {
    stats_->wait_latency.add((command.given_ns - std::min(command.given_ns, command.arrived_ns)) / 1000);
    stats_->host_latency.add((now_ns_ - std::min(now_ns_, command.given_ns)) / 1000);
  }
  stats_->latency_max_us.set(std::max(stats_->latency_max_us.get(), latency_us));
}

void DataPath::show_load() {
  stats_->in_flight.set(table_.size());
  const auto oldest = table_.oldest();
  stats_->oldest_arrival_ns.set(oldest ? table_.at(*oldest).arrived_ns : 0);
}

}  // namespace bulkhead::supervisor
