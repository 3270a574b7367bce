#include "supervisor/lockdown/syscall_filter.h"

#include <cerrno>
#include <utility>

#include "base/system_call_filter.h"
#include "supervisor/lockdown/syscall_table.h"

namespace bulkhead::supervisor {

Result<> filter_system_calls(std::span<const std::string> more) {
  auto filter = SystemCallFilter::create(SCMP_ACT_ERRNO(ENOSYS));
  if (!filter) return std::unexpected(std::move(filter.error()));
  for (const auto attribute : {SCMP_FLTATR_CTL_LOG, SCMP_FLTATR_CTL_TSYNC})
    if (auto done = filter->set(attribute, 1); !done) return done;
  for (const auto calls : kSupervisorCalls)
    for (const char* name : calls)
      if (auto done = filter->rule(name, SCMP_ACT_ALLOW); !done) return done;
  for (const std::string& name : more)
    if (SystemCallFilter::number_of(name.c_str()))
      if (auto done = filter->rule(name.c_str(), SCMP_ACT_ALLOW); !done) return done;
  return filter->load();
}

}  // namespace bulkhead::supervisor
