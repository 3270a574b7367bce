// What operators and the kernel ask of a device waits here until the device's own coroutine has time for it.
//
// Whoever asks gives up only what has not been begun: somebody who is told of a failure relies on nothing
// having changed. Work that has been begun is waited for to its end, so every step of it needs a deadline of
// its own. Threads: the control thread. Lifetime: outlives every ask().
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <optional>

#include "base/error.h"
#include "supervisor/device/wake.h"

namespace bulkhead::supervisor {

class RequestQueue {
 public:
  using Work = std::move_only_function<boost::asio::awaitable<Result<>>()>;

  explicit RequestQueue(boost::asio::io_context& io) : io_(io) {}

  // What the work came to. nullopt: it was not begun within `patience`, and will not be.
  boost::asio::awaitable<std::optional<Result<>>> ask(Work work, std::chrono::milliseconds patience);

  // The device's side.
  [[nodiscard]] bool empty() const { return waiting_.empty(); }
  // Does the oldest, and tells whoever asked. Not if empty().
  boost::asio::awaitable<void> do_next();
  // All that wait are told this.
  void refuse(const Error& why);

 private:
  struct Request {
    Work work;
    Wake done;
    bool begun;
    std::optional<Result<>> result;
  };

  boost::asio::io_context& io_;
  std::deque<std::shared_ptr<Request>> waiting_;  // shared with the coroutines that ask
};

}  // namespace bulkhead::supervisor
