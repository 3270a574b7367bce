// The least that serving the job can cost: one process that reads and writes the same file itself.
#pragma once

#include "base/error.h"
#include "bench/path/job.h"
#include "bench/path/sample.h"

namespace bulkhead::bench {

// The whole file, written, so that no read finds a hole. Errors: what the system says.
[[nodiscard]] Result<> make_file(const Job& job);

// One round of the same accesses by pread() and pwrite(), one at a time whatever the job's depth.
[[nodiscard]] Result<Sample> run_floor(const Job& job);

}  // namespace bulkhead::bench
