// How operations get to the kernel without the loop thread waiting for them. Two ways that must not differ in
// outcome: io_uring, and threads where io_uring is not permitted.
//
// Threads: construction, start(), kick() and destruction on the loop thread, with nothing under way at
// destruction.
#pragma once

#include <cstdint>
#include <limits>

#include "handler-host/handlers/file/operation.h"

namespace bulkhead::handler {

// The kernel was not asked. Of an errno one can't know: to a flush every one of them is a loss.
inline constexpr std::int64_t kNeverStarted = std::numeric_limits<std::int64_t>::min();

// Told on the loop thread, from kick() or later, once per start(). `result`: bytes moved by this attempt (0
// for what moves none), or -errno, or kNeverStarted. May start() again.
class Finisher {
 public:
  virtual void finished(Operation& operation, std::int64_t result) noexcept = 0;

 protected:
  ~Finisher() = default;
};

class Engine {
 public:
  virtual ~Engine() = default;
  // Queues one attempt at what is left of the operation; the operation and its buffer stay until finished().
  virtual void start(Operation& operation) = 0;
  // Hands everything queued to the kernel; never blocks.
  virtual void kick() = 0;
};

}  // namespace bulkhead::handler
