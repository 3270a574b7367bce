// The control thread's one way to wait: a coroutine sleeps until somebody wakes it or a deadline passes.
// Threads: the control thread. One waiter at a time.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>

namespace bulkhead::supervisor {

class Wake {
 public:
  using Time = std::chrono::steady_clock::time_point;
  static constexpr Time kNever = Time::max();

  explicit Wake(boost::asio::io_context& io) : timer_(io) {}

  // Also remembered if nobody waits now: the next wait ends at once.
  void notify() {
    notified_ = true;
    timer_.cancel();
  }

  // True: woken. False: the deadline passed.
  boost::asio::awaitable<bool> wait_until(Time deadline) {
    if (!notified_) {
      timer_.expires_at(deadline);
      boost::system::error_code cancelled;
      auto token = boost::asio::redirect_error(boost::asio::use_awaitable, cancelled);
      co_await timer_.async_wait(token);
    }
    const bool woken = notified_;
    notified_ = false;
    co_return woken;
  }

 private:
  boost::asio::steady_timer timer_;
  bool notified_ = false;
};

}  // namespace bulkhead::supervisor
