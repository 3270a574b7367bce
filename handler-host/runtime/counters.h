// Counters of a handler's own, told to the supervisor at most once a second and only when something changed.
//
// Threads: the loop thread. count() allocates at the first use of a name, later never.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "handler-host/runtime/control_client.h"
#include "handler-host/runtime/event_loop.h"

namespace bulkhead::host {

class Counters {
 public:
  static constexpr std::size_t kMostNames = 64;  // proto/control.proto, message Counters
  static constexpr std::size_t kLongestName = 31;

  Counters(EventLoop& loop, ControlClient& control) : loop_(loop), control_(control) {}

  // A name too long, or one too many, is a handler's bug: nothing is counted.
  void count(std::string_view name, std::uint64_t amount);
  // Tells now what has changed; at the end, when no timer will come any more.
  void tell();
  // To a supervisor that has heard none of them.
  void tell_again();

 private:
  struct Counter {
    std::string name;
    std::uint64_t value = 0;
  };
  [[nodiscard]] Counter* find(std::string_view name);
  void run_timer();

  EventLoop& loop_;
  ControlClient& control_;
  std::vector<Counter> counters_;
  bool changed_ = false;
  bool timer_runs_ = false;
  control::Message message_;  // reused
};

}  // namespace bulkhead::host
