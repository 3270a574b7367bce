// Lines for the journal, by way of the supervisor, which puts the device's name to them.
//
// Threads: the loop thread. Never blocks: a line that does not fit into the socket is lost and counted.
#pragma once

#include <chrono>
#include <cstdint>
#include <string_view>

#include "base/rate_limit.h"
#include "handler-host/api/handler.h"
#include "handler-host/runtime/control_client.h"

namespace bulkhead::host {

class Journal {
 public:
  explicit Journal(ControlClient& control) : control_(control) {}
  void log(handler::LogLevel level, std::string_view text);

 private:
  ControlClient& control_;
  // What a failing disk says a thousand times a second helps nobody.
  RateLimit limit_{20, std::chrono::seconds(5)};
  std::uint64_t lost_ = 0;
  control::Message message_;  // reused
};

}  // namespace bulkhead::host
