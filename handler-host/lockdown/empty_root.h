// The only files a handler-host can see: read-only copies of the folders that libraries are loaded from, and
// what the handler's manifest names.
#pragma once

#include <string>
#include <vector>

#include "base/error.h"

namespace bulkhead::host {

// Absolute paths below which files are visible: the system's library folders that are there, the loader's
// cache, and `more` (folders or files; what is not there is left out, whoever wants it will say so).
[[nodiscard]] std::vector<std::string> visible_paths(const std::vector<std::string>& more);

// Moves into a root that holds nothing but `visible`, read-only, without devices, /proc and set-user-id
// programs; the old root can't be reached any more by path. Needs CAP_SYS_ADMIN, a mount namespace of our
// own, and no other thread. Descriptors stay as they are. Errors: of the step that failed; the root may be
// the old one then, and parts of it hidden.
[[nodiscard]] Result<> enter_empty_root(const std::vector<std::string>& visible);

}  // namespace bulkhead::host
