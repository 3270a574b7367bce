// The host's one loop: descriptors, timers, and work to be done soon.
//
// Threads: everything on the loop thread (the one that created it), but post(), which any thread may call.
// Steady state allocates nothing.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <unordered_map>
#include <vector>

#include "base/error.h"
#include "base/unique_fd.h"

namespace bulkhead::host {

class EventLoop {
 public:
  using Work = std::move_only_function<void()>;
  using Ready = std::move_only_function<void(std::uint32_t events)>;
  using Clock = std::chrono::steady_clock;
  enum class TimerId : std::uint64_t {};

  [[nodiscard]] static Result<std::unique_ptr<EventLoop>> create();
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  // Level-triggered (unless `events` has EPOLLET). One watch per descriptor; it must stay open until
  // unwatch().
  void watch(int fd, std::uint32_t events, Ready ready);
  // May be called from the descriptor's own callback. No call comes afterwards. Not watched: does nothing.
  void unwatch(int fd);

  void post(Work work);
  [[nodiscard]] bool has_posted();
  // Runs what was posted up to now, and due timers.
  void run_posted();

  TimerId after(std::chrono::milliseconds delay, Work work);
  void cancel(TimerId timer);

  // Waits for a descriptor, a timer, post() or the end of `at_most`, and makes the calls that are due.
  void wait(std::optional<std::chrono::milliseconds> at_most = std::nullopt);

 private:
  struct Watch {
    std::uint32_t generation;
    Ready ready;
  };
  struct Timer {
    Clock::time_point due;
    std::uint64_t id;
    Work work;
    bool operator<(const Timer& other) const {
      return due > other.due;
    }  // the heap's top is the first one due
  };

  EventLoop(UniqueFd epoll, UniqueFd wake);
  [[nodiscard]] int timeout_ms(std::optional<std::chrono::milliseconds> at_most) const;
  void dispatch(std::uint64_t token, std::uint32_t events);
  void run_due_timers();

  const std::thread::id owner_ = std::this_thread::get_id();
  UniqueFd epoll_;
  UniqueFd wake_;
  std::unordered_map<int, Watch> watches_;
  std::uint32_t generation_ = 0;
  std::vector<Timer> timers_;  // a heap
  std::uint64_t timer_ids_ = 0;
  std::vector<Work> running_;

  std::mutex mutex_;
  std::vector<Work> posted_;  // under mutex_
};

}  // namespace bulkhead::host
