// How many processors this process may use: with an affinity or a cpuset, as containers and systemd's
// AllowedCPUs= set it, fewer than the machine has. std::thread::hardware_concurrency() counts the machine's.
#pragma once

#include <sched.h>

#include <algorithm>
#include <thread>

namespace bulkhead {

[[nodiscard]] inline unsigned usable_processors() {
  cpu_set_t usable;
  // EINVAL: more processors than fit into the set.
  if (::sched_getaffinity(0, sizeof usable, &usable) != 0)
    return std::max(1u, std::thread::hardware_concurrency());
  return static_cast<unsigned>(CPU_COUNT(&usable));
}

}  // namespace bulkhead
