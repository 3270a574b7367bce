// Landlock: what of the file system, and since Linux 6.7 of the network, this thread may still use. It stands
// behind the empty root and the system call filter, for the day when one of those has a hole.
//
// Descriptors that are open already, and those the supervisor sends, keep what they can do. Rules add up: a
// later one can only take more away. Threads: the calling one, and those it makes later. Needs no_new_privs.
#pragma once

#include <string>
#include <vector>

#include "base/error.h"

namespace bulkhead::host {

struct LandlockRules {
  std::vector<std::string> readable;  // below these, files may be read and executed
  bool network = false;               // TCP, and since Linux 6.12 abstract sockets of other processes
};

// Errors: NotFound when this kernel has no Landlock, or has it switched off.
[[nodiscard]] Result<> restrict_by_landlock(const LandlockRules& rules);

}  // namespace bulkhead::host
