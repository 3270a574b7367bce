// What a process has used so far, all of its threads together; read from outside of it.
#pragma once

#include <sys/types.h>

#include <cstdint>

#include "base/error.h"

namespace bulkhead::bench {

struct ProcessCost {
  std::uint64_t cpu_ns = 0;
  std::uint64_t sleeps = 0;       // voluntary context switches: each needed somebody to wake it
  std::uint64_t preemptions = 0;  // involuntary ones

  ProcessCost& operator+=(const ProcessCost& other);
  [[nodiscard]] ProcessCost since(const ProcessCost& earlier) const;
};

// Errors: NotFound when there is no such process.
[[nodiscard]] Result<ProcessCost> cost_of(pid_t pid);

}  // namespace bulkhead::bench
