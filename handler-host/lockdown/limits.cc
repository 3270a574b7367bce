#include "handler-host/lockdown/limits.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <cerrno>

namespace bulkhead::host {
namespace {

struct Limit {
  __rlimit_resource resource;
  const char* name;
  rlim_t most;
};

// No limit on file size: a LUN may be of any. Processes are bounded by the cgroup, because a uid's count
// would be shared with other hosts.
constexpr Limit kLimits[] = {
    {RLIMIT_CORE, "RLIMIT_CORE", 0},         {RLIMIT_NOFILE, "RLIMIT_NOFILE", 64},
    {RLIMIT_MSGQUEUE, "RLIMIT_MSGQUEUE", 0}, {RLIMIT_NICE, "RLIMIT_NICE", 0},
    {RLIMIT_RTPRIO, "RLIMIT_RTPRIO", 0},
};

}  // namespace

bool raise_memory_lock_limit() {
  const rlimit unlimited{RLIM_INFINITY, RLIM_INFINITY};
  return ::setrlimit(RLIMIT_MEMLOCK, &unlimited) == 0;
}

Result<> lower_limits() {
  for (const Limit& limit : kLimits) {
    rlimit now{};
    if (::getrlimit(limit.resource, &now) != 0) return fail_errno(errno, fmt::format("read {}", limit.name));
    now.rlim_max = std::min(now.rlim_max, limit.most);
    now.rlim_cur = now.rlim_max;
    if (::setrlimit(limit.resource, &now) != 0) return fail_errno(errno, fmt::format("lower {}", limit.name));
  }
  return {};
}

}  // namespace bulkhead::host
