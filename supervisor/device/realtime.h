// The time of day, for people to read; never to measure with. Any thread.
#pragma once

#include <chrono>
#include <cstdint>

namespace bulkhead::supervisor {

// CLOCK_REALTIME, in microseconds since 1970.
inline std::uint64_t realtime_usec() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(now).count());
}

}  // namespace bulkhead::supervisor
