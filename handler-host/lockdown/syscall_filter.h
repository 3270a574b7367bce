// The seccomp filter: which system calls there are for this process from now on. Anything else ends it with
// SIGSYS, and the kernel writes a line with the call's number into its audit log.
//
// Filters add up: a later one can only take more away. Threads: the first before there are any; a later one
// reaches all of them. Needs no_new_privs.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/error.h"

namespace bulkhead::host {

enum class Phase : std::uint8_t { Start, Serve };

struct FilterNeeds {
  bool network = false;
  bool threads = false;
  std::vector<std::string> syscalls;  // by name
};

// Errors: BadInput for a system call that libseccomp does not know; the kernel's otherwise.
[[nodiscard]] Result<> filter_system_calls(Phase phase, const FilterNeeds& needs);

}  // namespace bulkhead::host
