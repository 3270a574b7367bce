// The part of the data path that knows how long commands wait: see waiting.h and rate_limits.h.
#include "supervisor/pump/waiting.h"

#include "supervisor/pump/data_path.h"
#include "supervisor/pump/monotonic.h"

namespace bulkhead::supervisor {

bool DataPath::given_up_by_kernel(const InFlightCommand& command) const {
  return limits_.timeout_ns != 0 && now_ns_ >= command.arrived_ns + limits_.timeout_ns;
}

// BUSY: the kernel discards it, or, if its timer is a little late, the initiator tries again.
void DataPath::expire(SlotIndex index) {
  stats_->expired.add(1);
  finish(index, kStatusBusy, {}, 0);
}

// All that no host has, of which each is answered that has waited long enough.
void DataPath::end_waits() {
  const bool refuse = limits_.refuse && !channel_;
  for (auto i = table_.oldest(); i;) {
    const SlotIndex index = *i;
    i = table_.newer_than(index);
    const InFlightCommand& command = table_.at(index);
    if (command.progress.state != CommandState::Waiting || (reading(index) && !refuse)) continue;
    const std::uint64_t busy_after = limits_.busy_after_ns;
    const bool busy = busy_after != 0 && now_ns_ >= command.arrived_ns + busy_after;
    // Later ones have waited less.
    if (!refuse && !busy) break;
    if (given_up_by_kernel(command))
      expire(index);
    else if (refuse)
      fail_command(index, kCommunicationFailure);
    else
      finish(index, kStatusBusy, {}, 0);
  }
}

void DataPath::set_wait_limits(const WaitLimits& limits) {
  limits_ = limits;
  now_ns_ = monotonic_ns();
  end_waits();
  flush();
  show_load();
}

void DataPath::set_rate_limits(const RateLimits& limits) {
  meter_.set(limits, monotonic_ns());
}

// False: it has to wait, and all behind it. One that was given to a host that died, or that a grant has tried
// to read, was counted then.
bool DataPath::within_limits(SlotIndex index) {
  const InFlightCommand& command = table_.at(index);
  if (command.progress.replays != 0 || reads_of_[index.value] == kReadInVain) return true;
  turn_due_ns_ = meter_.admit(command.facts.kind, command.data_bytes, now_ns_);
  if (turn_due_ns_ != 0) {
    refused_ns_ = now_ns_;
    return false;
  }
  if (command.arrived_ns > refused_ns_) {
    refused_ns_ = 0;
    return true;
  }
  // It was there when the meter refused one last: it, or one before it.
  stats_->throttled.add(1);
  stats_->throttled_us.add((now_ns_ - command.arrived_ns) / 1000);
  return true;
}

PathLook DataPath::look() {
  now_ns_ = monotonic_ns();
  // Had we stood still, the host's answers would lie there: it must not be judged without them.
  while (reap()) {
  }
  end_waits();
  const std::uint64_t reads_late_ns = end_late_reads();
  flush();
  show_load();
  PathLook seen{.in_flight = table_.size(),
                .reads_late_ns = reads_late_ns,
                .with_host = submitted_,
                .host_answered_ns = host_answered_ns_};
  watched_ = seen.in_flight != 0;
  for (auto i = table_.oldest(); i; i = table_.newer_than(*i)) {
    const InFlightCommand& command = table_.at(*i);
    if (reading(*i)) continue;
    if (command.progress.state == CommandState::Waiting) {
      if (seen.oldest_waiting_ns == 0) seen.oldest_waiting_ns = command.arrived_ns;
      continue;
    }
    // Not in the order of their arrival: what a grant could not read in time comes after younger ones.
    if (seen.oldest.given_ns != 0 && seen.oldest.given_ns <= command.given_ns) continue;
    seen.oldest = {command.given_ns, command.cdb_bytes, command.cdb};
    seen.oldest_is_slow = takes_long(command.cdb[0]);
  }
  return seen;
}

}  // namespace bulkhead::supervisor
