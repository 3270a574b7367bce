// Is what we need of the kernel there, and if not, what must be done about it? And the switches of the module
// itself. Blocking; any thread.
#pragma once

#include "base/error.h"
#include "supervisor/configfs/attribute_file.h"

namespace bulkhead::supervisor {

// configfs mounted, target core there, target_core_user loaded. Error: NotFound, and `what` names the command
// that helps ("modprobe target_core_user", "mount -t configfs ...").
[[nodiscard]] Result<> check_kernel_interface(const SysRoot& root);

// Loads target_core_user as modprobe would, blacklists respected. Nothing to do if it is there already. Needs
// CAP_SYS_MODULE. Errors say why, e.g. that there are no modules for the running kernel.
[[nodiscard]] Result<> load_tcmu_module(const SysRoot& root);

// Ends every wait of the kernel for a reply that a dead predecessor, or an overrun socket, left unanswered:
// those configfs writes fail with EINTR. Touches the events of other daemons too. While it runs, new events
// fail with EAGAIN. A kernel without these switches (before 4.20) is no error: there is nothing to reset.
[[nodiscard]] Result<> end_pending_netlink_waits(const SysRoot& root);

}  // namespace bulkhead::supervisor
