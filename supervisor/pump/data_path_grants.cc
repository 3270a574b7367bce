// Commands that are done by the host's I/O grant, without it.
#include <sys/sysinfo.h>

#include <algorithm>
#include <utility>

#include "base/probes.h"
#include "supervisor/pump/data_path.h"
#include "supervisor/pump/monotonic.h"

namespace bulkhead::supervisor {
namespace {

constexpr std::uint64_t kAskForSwapEveryNs = 1'000'000'000;

// What a tmpfs holds may have been swapped out, and the swap may be a LUN that is served here. A fact of the
// machine, which each pump asks for now and then: no system call for each command.
bool has_swap(std::uint64_t now_ns) {
  thread_local std::uint64_t asked_ns = 0;
  thread_local bool found = true;
  if (asked_ns != 0 && now_ns - asked_ns < kAskForSwapEveryNs) return found;
  struct sysinfo info{};
  found = ::sysinfo(&info) != 0 || info.totalswap != 0;
  asked_ns = now_ns;
  return found;
}

}  // namespace

// All older commands have been answered or are with the host, or are being read. A read may return what was
// there before or after those of them that are not answered yet; a write must not run beside another change.
bool DataPath::taken_by_grant(SlotIndex index) {
  const InFlightCommand& command = table_.at(index);
  if (!grant_.stands() || grant_paused_ || suspects_ != 0 || exclude_all_ != 0) return false;
  if (flushes_all(command.cdb)) return flushed_by_grant(index);
  const auto transfer = plain_transfer(command.cdb);
  if (!transfer || !grant_.covers(*transfer, command.data_bytes, channel_->grant())) return false;
  return grant_.file().direct ? begin_read(index, *transfer) : done_by_grant(index, *transfer);
}

// It promises what was answered before it, and in memory that is where it stays.
bool DataPath::flushed_by_grant(SlotIndex index) {
  if (table_.at(index).data_bytes != 0 || !grant_.covers_flush(channel_->grant())) return false;
  granted(index, now_ns_, stats_->granted_flushes, 0);
  return true;
}

bool DataPath::done_by_grant(SlotIndex index, const BlockTransfer& transfer) {
  if (grant_.file().in_memory && shares_pump_ && (transfer.write || has_swap(now_ns_))) return false;
  if (transfer.write && exclude_writes_ != 0 && !apart_from_changes(transfer)) return false;
  if (transfer.write) channel_->count_granted_write();
  const bool done = grant_.carry_out(transfer, ring_.region(), table_.segments_of(index));
  if (transfer.write) channel_->count_granted_write();
  if (!done) {
    stats_->grants_missed.add(1);
    return false;
  }
  const std::uint64_t began_ns = std::exchange(now_ns_, monotonic_ns());  // what it took counts
  if (transfer.write)
    granted(index, began_ns, stats_->granted_writes, 0);
  else
    granted_read(index, began_ns);
  return true;
}

void DataPath::granted_read(SlotIndex index, std::uint64_t began_ns) {
  granted(index, began_ns, stats_->granted_reads, static_cast<std::uint32_t>(table_.at(index).data_bytes));
}

// It is done, since now_ns_.
void DataPath::granted(SlotIndex index, std::uint64_t began_ns, Counter& kind, std::uint32_t data_bytes) {
  const InFlightCommand& command = table_.at(index);
  stats_->wait_latency.add((began_ns - std::min(began_ns, command.arrived_ns)) / 1000);
  stats_->grant_latency.add((now_ns_ - std::min(now_ns_, began_ns)) / 1000);
  kind.add(1);
  BULKHEAD_PROBE3(command_granted, this, command.id.value, command.cdb[0]);
  answer(index, {command.id, command.sequence, kStatusGood, {}, 0}, data_bytes);
}

// Of a write: nothing that the host has under way can touch its blocks.
bool DataPath::apart_from_changes(const BlockTransfer& transfer) {
  for (auto i = table_.oldest(); i; i = table_.newer_than(*i)) {
    const InFlightCommand& other = table_.at(*i);
    if (other.progress.state != CommandState::Submitted) continue;
    if (excluded_beside(other.cdb[0]) == Excludes::Nothing) continue;
    const auto known = plain_transfer(other.cdb);
    if (!known || known->overlaps(transfer)) return false;
  }
  return true;
}

}  // namespace bulkhead::supervisor
