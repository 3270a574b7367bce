// The pumps' clock: CLOCK_MONOTONIC, which std::chrono::steady_clock reads too.
#pragma once

#include <time.h>

#include <cstdint>

namespace bulkhead::supervisor {

[[nodiscard]] inline std::uint64_t monotonic_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000u + static_cast<std::uint64_t>(now.tv_nsec);
}

}  // namespace bulkhead::supervisor
