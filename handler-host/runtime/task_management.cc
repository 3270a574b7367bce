#include "handler-host/runtime/task_management.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>

#include "proto/task_management.h"

namespace bulkhead::host {
namespace {

struct Outcome {
  unsigned ended = 0;
  unsigned with_handler = 0;
  scsi::Words oldest;  // its CDB
  std::uint64_t oldest_ns = 0;
};

double seconds_since(std::uint64_t monotonic_ns) {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  const auto now_ns = static_cast<std::uint64_t>(std::chrono::nanoseconds(now).count());
  return static_cast<double>(now_ns - std::min(monotonic_ns, now_ns)) * 1e-9;
}

scsi::Words line_of(TaskFunction function, const Outcome& outcome) {
  scsi::Words line;
  const unsigned commands = outcome.ended + outcome.with_handler;
  line.append(name_of(function));
  if (commands == 0) {
    line.append(": no command of it is under way here");
    return line;
  }
  if (commands == 1)
    line.append(" for ");
  else
    line.format(" for {} commands, the oldest ", commands);
  line.append(outcome.oldest);
  line.format(", under way for {:.1f} s; ", seconds_since(outcome.oldest_ns));
  if (outcome.with_handler == 0)
    line.append("ended, it had not reached the handler");
  else if (outcome.ended == 0)
    line.append("ends when the handler answers");
  else
    line.format("{} ended that had not reached the handler, {} to end when it answers", outcome.ended,
                outcome.with_handler);
  return line;
}

}  // namespace

scsi::Words manage_tasks(const control::TaskManagement& request, Commands& commands,
                         scsi::LogicalUnit& unit) {
  const auto function = static_cast<TaskFunction>(request.function());
  Outcome outcome;
  // Youngest first, so that none starts only because one that it waited for has ended.
  for (int i = request.listed_size(); i-- > 0;) {
    const auto found = commands.find(request.listed(i).slot(), request.listed(i).generation());
    if (!found) continue;
    // The list's first one is the oldest; its words before it ends, as its memory is another's then.
    outcome.oldest = scsi::describe_cdb(found->command.cdb);
    outcome.oldest_ns = found->arrived_ns;
    (unit.abort(found->command) ? outcome.ended : outcome.with_handler) += 1;
  }
  if (resets_logical_unit(function)) unit.reset();
  return line_of(function, outcome);
}

}  // namespace bulkhead::host
