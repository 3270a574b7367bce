// What the supervisor sets for itself as a process, once, before anything else.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"

namespace bulkhead::supervisor {

// A LUN may carry this machine's root, swap or logs: we must not wait for memory that only our own I/O can
// free. Locks memory (pages as they are touched) and marks us as a process that others' I/O depends on. What
// the machine does not allow is done without, and returned for the log. Needs CAP_SYS_RESOURCE, which may go
// afterwards: threads and hosts inherit both the mark and the allowance.
[[nodiscard]] std::vector<Error> become_io_server();

// Raises the limit of open files, never lowers it: to `wanted`, or without it to the hard limit.
[[nodiscard]] Result<> raise_open_files(std::optional<std::uint64_t> wanted);

// The folder PREFIX/lib/tcmu-bulkhead that belongs to this program at PREFIX/bin/.
[[nodiscard]] std::string library_folder();

}  // namespace bulkhead::supervisor
