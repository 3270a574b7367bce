// Resource limits of a handler-host.
#pragma once

#include "base/error.h"

namespace bulkhead::host {

// RLIMIT_MEMLOCK to infinity; the cgroup's memory.max bounds us. False: not permitted.
[[nodiscard]] bool raise_memory_lock_limit();

// Everything a host never needs much of, hard limits included, so that no code in it can go back.
[[nodiscard]] Result<> lower_limits();

}  // namespace bulkhead::host
