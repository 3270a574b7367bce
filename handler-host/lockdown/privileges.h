// Who a handler-host is, and that it may do nothing beyond that.
#pragma once

#include <sys/types.h>

#include <optional>

#include "base/error.h"

namespace bulkhead::host {

// Becomes user and group `uid` for good, without supplementary groups (nullopt: stays who it is), and gives
// up every capability in every set. Success means it was looked at afterwards: none is left and the way back
// is closed.
[[nodiscard]] Result<> drop_privileges(std::optional<uid_t> uid);

}  // namespace bulkhead::host
