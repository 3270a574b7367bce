// Which of root's capabilities the supervisor keeps once it has started.
#pragma once

#include "base/error.h"

namespace bulkhead::supervisor {

// Gives up all capabilities but those that serving devices needs (the list and its reasons are in
// capabilities.cc), in every set, the bounding set included: no host has one of the others at its start
// either. What we don't have is not missed. Threads: the calling one, and those it makes later, so before
// there are any. Errors: of the kernel; some may be given up then and some not.
[[nodiscard]] Result<> drop_capabilities();

}  // namespace bulkhead::supervisor
