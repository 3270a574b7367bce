// What a process holds of the machine; read from outside of it.
#pragma once

#include <sys/types.h>

#include <cstdint>

#include "base/error.h"

namespace bulkhead::bench {

struct Footprint {
  std::uint64_t pss_kib = 0;      // shared pages by their share
  std::uint64_t private_kib = 0;  // nobody else has them
  std::uint64_t threads = 0;
  std::uint64_t descriptors = 0;
};

// Errors: NotFound when there is no such process.
[[nodiscard]] Result<Footprint> footprint_of(pid_t pid);

}  // namespace bulkhead::bench
