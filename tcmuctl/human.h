// Numbers as people read them. All of it pure.
#pragma once

#include <cstdint>
#include <string>

namespace bulkhead::tcmuctl {

// Binary units, three digits at least where there is a fraction: "512 B", "1.5 KiB", "1 GiB", "1.20 TiB".
[[nodiscard]] std::string human_bytes(std::uint64_t bytes);
// "0 us", "900 us", "31 ms", "1.5 s", "2 min 5 s", "3 h 4 min", "12 d 3 h".
[[nodiscard]] std::string human_duration(std::uint64_t usec);
// Decimal, for rates and counts: "0", "999", "12.3k", "4.56M".
[[nodiscard]] std::string human_count(double value);
// "2026-11-23 18:05:01 UTC"; "-" for 0. CLOCK_REALTIME.
[[nodiscard]] std::string human_time(std::uint64_t usec);

}  // namespace bulkhead::tcmuctl
