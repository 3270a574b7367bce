#include "tcmuctl/histogram.h"

#include <cmath>

namespace bulkhead::tcmuctl {

Histogram counted_since(const Histogram& before, const Histogram& now) {
  Histogram counts = now;
  for (const auto& [most, count] : before) {
    const auto found = counts.find(most);
    if (found == counts.end() || found->second < count) return now;
    found->second -= count;
  }
  return counts;
}

std::optional<std::uint64_t> quantile(const Histogram& counts, double part) {
  std::uint64_t total = 0;
  for (const auto& [most, count] : counts) total += count;
  const auto rank = static_cast<std::uint64_t>(std::ceil(static_cast<double>(total) * part));
  std::uint64_t seen = 0;
  for (const auto& [most, count] : counts) {
    seen += count;
    if (count != 0 && seen >= rank) return most;
  }
  return std::nullopt;
}

}  // namespace bulkhead::tcmuctl
