// How long commands took: counts by upper bound, as the property LatencyHistograms has them.
#pragma once

#include <cstdint>
#include <map>
#include <optional>

namespace bulkhead::tcmuctl {

// Microseconds at most, and how many commands took that long.
using Histogram = std::map<std::uint64_t, std::uint64_t>;

// What was counted between two readings. All of `now` if a count went back: it is counted anew.
[[nodiscard]] Histogram counted_since(const Histogram& before, const Histogram& now);
// In microseconds; nullopt: nothing was counted.
[[nodiscard]] std::optional<std::uint64_t> quantile(const Histogram& counts, double part);

}  // namespace bulkhead::tcmuctl
