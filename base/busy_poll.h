// Looking again and again for a while before going to sleep: worth a processor where the awaited comes sooner
// than a sleep and a wake would take.
#pragma once

#include <sched.h>

#include <algorithm>
#include <chrono>
#include <cstdint>

namespace bulkhead {

// One per kind of wait. Learns: after waits that were in vain ever more are not tried, up to 255 in a row, so
// that a peer that takes long, or no free processor, costs next to nothing. One thread.
class BusyPoll {
 public:
  // 0: never looks.
  explicit BusyPoll(std::chrono::microseconds limit) : limit_(limit) {}

  // True: ready() became true within the limit. ready() is called many times: a look at memory, no more.
  template <class Ready>
  [[nodiscard]] bool wait(Ready&& ready) {
    if (limit_.count() == 0) return false;
    if (to_skip_ > 0) {
      --to_skip_;
      return false;
    }
    const Clock::time_point end = Clock::now() + limit_;
    do {
      for (int i = 0; i < kLooksBetweenYields; ++i) {
        if (ready()) {
          skip_next_ /= 2;
          return true;
        }
        pause();
      }
      // Whoever else wants this processor gets it: it may be the one we wait for.
      ::sched_yield();
    } while (Clock::now() < end);
    skip_next_ = std::min<std::uint32_t>(2 * skip_next_ + 1, kMostSkipped);
    to_skip_ = skip_next_;
    return false;
  }

 private:
  using Clock = std::chrono::steady_clock;
  static constexpr int kLooksBetweenYields = 32;
  static constexpr std::uint32_t kMostSkipped = 255;

  static void pause() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
  }

  std::chrono::microseconds limit_;
  std::uint32_t skip_next_ = 0;
  std::uint32_t to_skip_ = 0;
};

}  // namespace bulkhead
