// One TCMU daemon at a time in a mount namespace: the lock that tcmu-runner takes too.
#pragma once

#include <string>

#include "base/error.h"
#include "base/unique_fd.h"

namespace bulkhead::supervisor {

inline constexpr const char* kLockFile = "/run/tcmu.lock";

// Held until the descriptor is closed. Error Busy names the process that has it and says how to stop it.
// A POSIX lock: closing any other descriptor of the same file in this process would lose it.
[[nodiscard]] Result<UniqueFd> take_lock_file(const std::string& path);

}  // namespace bulkhead::supervisor
