#include "handler-host/lockdown/syscall_filter.h"

#include <cerrno>
#include <span>
#include <utility>

#include "base/system_call_filter.h"
#include "handler-host/lockdown/syscall_table.h"

namespace bulkhead::host {
namespace {

Result<> allow(SystemCallFilter& filter, const Allowed& call) {
  if (call.argument < 0) return filter.rule(call.name, SCMP_ACT_ALLOW);
  const scmp_arg_cmp condition[] = {
      {static_cast<unsigned>(call.argument), SCMP_CMP_MASKED_EQ, call.mask, call.value}};
  return filter.rule(call.name, SCMP_ACT_ALLOW, condition);
}

Result<> allow_all(SystemCallFilter& filter, std::span<const Allowed> calls) {
  for (const Allowed& call : calls)
    if (auto done = allow(filter, call); !done) return done;
  return {};
}

Result<> add_rules(SystemCallFilter& filter, Phase phase, const FilterNeeds& needs) {
  // What is allowed in general goes first: see SystemCallFilter::rule().
  if (phase == Phase::Start)
    if (auto done = allow_all(filter, kAtTheStart); !done) return done;
  if (auto done = allow_all(filter, kAlways); !done) return done;
  if (needs.network)
    if (auto done = allow_all(filter, kForNetwork); !done) return done;
  if (needs.threads) {
    if (auto done = allow_all(filter, kForThreads); !done) return done;
    for (const char* name : kUnknownToThreads)
      if (auto done = filter.rule(name, SCMP_ACT_ERRNO(ENOSYS)); !done) return done;
  }
  for (const std::string& name : needs.syscalls)
    if (auto done = allow(filter, {name.c_str()}); !done) return done;
  return {};
}

}  // namespace

Result<> filter_system_calls(Phase phase, const FilterNeeds& needs) {
  auto filter = SystemCallFilter::create(SCMP_ACT_KILL_PROCESS);
  if (!filter) return std::unexpected(std::move(filter.error()));
  // Is set, and needs no second call.
  if (auto done = filter->set(SCMP_FLTATR_CTL_NNP, 0); !done) return done;
  if (phase == Phase::Serve)
    if (auto done = filter->set(SCMP_FLTATR_CTL_TSYNC, 1); !done) return done;
  if (auto done = add_rules(*filter, phase, needs); !done) return done;
  return filter->load();
}

}  // namespace bulkhead::host
