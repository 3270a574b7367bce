// Namespaces of the host's own. The PID namespace is not made here: its first process is the host, so the
// supervisor makes it together with the process (supervisor/spawn/host_process.cc).
#pragma once

#include "handler-host/lockdown/walls.h"

namespace bulkhead::host {

enum class Network : bool { None, Shared };

// Leaves mount, IPC, UTS, cgroup and, with Network::None, network namespace for empty ones. Needs
// CAP_SYS_ADMIN. What can't be left is reported as missing.
void leave_namespaces(Network network, Walls& walls);

}  // namespace bulkhead::host
