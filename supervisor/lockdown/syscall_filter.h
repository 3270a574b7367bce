// The supervisor's own seccomp filter: the system calls it, and hosts until they have a narrower filter of
// their own, can make from now on.
//
// All others fail with ENOSYS, as if the kernel were too old for them, and leave a line in the kernel's audit
// log. They do not end us, unlike in a host: a call that is missing in our list because a new libc makes it
// would end the next supervisor as well, and each one after it, while all LUNs wait; with ENOSYS, libraries
// take their older way. Code that an attacker brought gets no further by an error either.
#pragma once

#include <span>
#include <string>

#include "base/error.h"

namespace bulkhead::supervisor {

// `more`: names of calls that the manifests of handlers ask for; what hosts inherit must allow them. Sets
// no_new_privs. Threads: reaches all there are. Errors: BadInput for a name that libseccomp does not know,
// in our own list; in `more` such a name is left out, as the host says so. The kernel's otherwise.
[[nodiscard]] Result<> filter_system_calls(std::span<const std::string> more);

}  // namespace bulkhead::supervisor
