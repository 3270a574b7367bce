// Who a handler-host is, and that it may do nothing beyond that.
#pragma once

#include <sys/types.h>

#include <optional>

#include "base/error.h"
#include "handler-host/lockdown/walls.h"

namespace bulkhead::host {

// Becomes user and group `uid` for good, without supplementary groups, in a user namespace of its own if that
// is possible (nullopt: stays who and where it is), and gives up every capability in every set. Success means
// it was looked at afterwards: none is left and the way back is closed. Reports walls user, user-namespace
// and capabilities.
[[nodiscard]] Result<> drop_privileges(std::optional<uid_t> uid, Walls& walls);

}  // namespace bulkhead::host
