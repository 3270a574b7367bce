#include "handler-host/runtime/commands.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <span>

#include "base/probes.h"

namespace bulkhead::host {

Result<bool> Commands::start_all(scsi::LogicalUnit& unit, const Listed& aborted) {
  bool any = false;
  // Bounded: what is submitted meanwhile waits until completions have been published.
  for (std::uint32_t i = 0; i < channel_.slots(); ++i) {
    auto submission = channel_.take();
    if (!submission) return std::unexpected(std::move(submission.error()));
    if (!*submission) break;
    any = true;
    if (auto started = start(**submission, unit, aborted); !started)
      return std::unexpected(std::move(started.error()));
  }
  return any;
}

Result<> Commands::start(const Submission& submission, scsi::LogicalUnit& unit, const Listed& aborted) {
  const channel::Slot& request = submission.request;
  Running& command = table_[submission.slot.value];
  if (command.busy)
    return fail(Cause::PeerBroken, EPROTO,
                fmt::format("channel: slot {} was submitted while its command (cmd_id {}) is under way",
                            submission.slot.value, request.cmd_id));
  command.owner = this;
  command.slot = submission.slot.value;
  command.generation = request.generation;
  command.arrived_ns = request.arrived_ns;
  command.busy = true;
  std::copy_n(request.cdb, channel::kCdbBytes, command.cdb_copy.begin());
  command.cdb =
      std::span(command.cdb_copy).first(std::min<std::size_t>(request.cdb_bytes, channel::kCdbBytes));
  command.cdb_bytes = request.cdb_bytes;
  command.data = submission.data;
  command.direction = request.direction;
  command.replays = request.replays;
  command.aborted = aborted && aborted(command.slot, command.generation);
  ++under_way_;
  BULKHEAD_PROBE3(command_started, command.slot, command.generation, command.cdb_copy[0]);
  unit.execute(command);
  return {};
}

std::optional<Commands::UnderWay> Commands::find(std::uint32_t slot, std::uint32_t generation) {
  if (slot >= table_.size()) return std::nullopt;
  Running& command = table_[slot];
  if (!command.busy || command.generation != generation) return std::nullopt;
  return UnderWay{command, command.arrived_ns};
}

void Commands::answer(Running& command, const scsi::Reply& reply) noexcept {
  BULKHEAD_CHECK(command.busy && reply.sense_bytes <= channel::kSenseBytes &&
                 reply.data_bytes <= command.data.size());
  channel::CompletionEntry entry{};
  entry.slot = command.slot;
  entry.generation = command.generation;
  entry.data_bytes = reply.data_bytes;
  entry.scsi_status = reply.status;
  entry.sense_bytes = reply.sense_bytes;
  std::copy_n(reply.sense.begin(), reply.sense_bytes, entry.sense);
  BULKHEAD_PROBE3(command_done, command.slot, command.generation, reply.status);
  command.busy = false;
  --under_way_;
  channel_.put(entry);
}

}  // namespace bulkhead::host
