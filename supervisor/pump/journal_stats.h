// A device's counters in its journal, so that they go on counting when the supervisor is followed by another.
// Threads: as device_stats.h.
#pragma once

#include <algorithm>
#include <memory>
#include <span>

#include "base/shared_memory.h"
#include "supervisor/journal/journal.h"
#include "supervisor/pump/device_stats.h"

namespace bulkhead::supervisor {

// The counters in `journal`. A new journal begins with what `before` has; an adopted one goes on, unless its
// build counted other things.
[[nodiscard]] inline std::shared_ptr<DeviceStats> stats_in(const std::shared_ptr<Journal>& journal,
                                                           DeviceStats& before) {
  constexpr std::size_t kAt = channel::kCacheLine;
  static_assert(kAt + sizeof(DeviceStats) <= kStatsBytes && alignof(DeviceStats) <= kAt);
  const auto memory = journal->stats();
  auto& layout = object_at<std::uint64_t>(memory, 0);
  if (layout != sizeof(DeviceStats)) {
    std::ranges::copy(std::as_bytes(std::span(&before, 1)), memory.subspan(kAt).begin());
    layout = sizeof(DeviceStats);
  }
  return {journal, &object_at<DeviceStats>(memory, kAt)};
}

}  // namespace bulkhead::supervisor
