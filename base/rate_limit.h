// Something that may be logged, but not a million times.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <optional>

namespace bulkhead {

// At most `burst` times per `interval`. Any thread; threads that meet at an interval's edge may let one more
// through.
//   if (auto missed = limit.admit()) log(..., fmt::format("... ({} more like this before)", *missed));
class RateLimit {
 public:
  using Clock = std::chrono::steady_clock;
  RateLimit(std::uint32_t burst, Clock::duration interval) : burst_(burst), interval_(interval) {}

  // nullopt: be silent. Otherwise how many were silenced since the last one that was let through.
  std::optional<std::uint64_t> admit(Clock::time_point now = Clock::now()) {
    Clock::rep begin = begin_.load(std::memory_order_relaxed);
    if (begin == kNever || now - Clock::time_point(Clock::duration(begin)) >= interval_) {
      if (begin_.compare_exchange_strong(begin, now.time_since_epoch().count(), std::memory_order_relaxed))
        used_.store(0, std::memory_order_relaxed);
    }
    if (used_.fetch_add(1, std::memory_order_relaxed) < burst_)
      return missed_.exchange(0, std::memory_order_relaxed);
    missed_.fetch_add(1, std::memory_order_relaxed);
    return std::nullopt;
  }

 private:
  static constexpr Clock::rep kNever = Clock::duration::min().count();
  const std::uint32_t burst_;
  const Clock::duration interval_;
  std::atomic<Clock::rep> begin_{kNever};
  std::atomic<std::uint64_t> used_{0};
  std::atomic<std::uint64_t> missed_{0};
};

}  // namespace bulkhead
