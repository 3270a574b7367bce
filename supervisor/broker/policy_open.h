// Opens a path as tcmu.conf allows it: beneath one of its folders, by links or without. The kernel does the
// looking (openat2), so nobody who may rename and link in there wins a race.
//
// A folder that is named may itself be reached by links; the administrator wrote it. Beneath it, a link that
// is absolute or leads above it is refused, as RESOLVE_BENEATH does. Links of /proc (/proc/PID/fd/N), which
// lead out of the file system, are refused always. Blocking; any thread; no state.
#pragma once

#include <cstdint>
#include <string>

#include "base/error.h"
#include "base/unique_fd.h"
#include "supervisor/model/file_policy.h"

namespace bulkhead::supervisor {

// `path` is absolute; `flags` as for open(2), O_CLOEXEC is added. Errors: EXDEV where the folders forbid it,
// ELOOP where it is a link that does; each says so. Else as the system said.
[[nodiscard]] Result<UniqueFd> open_by_policy(const FilePolicy& policy, const std::string& path,
                                              std::uint64_t flags);

}  // namespace bulkhead::supervisor
