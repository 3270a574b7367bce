// How many hosts are being started at the same time.
//
// A start is work for processors: a program is loaded, walls are built. A thousand at once would each take as
// long as all together, and the last ones be given up as hung; some at a time, each takes a moment, and all
// together no longer. A turn ends with a host's first word: from then on it waits for its storage, which may
// hang, and nobody is to wait for that. Hosts of devices that were served before come first: initiators wait
// for them. Threads: the control thread.
#pragma once

#include <algorithm>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <deque>
#include <memory>
#include <utility>

#include "base/processors.h"
#include "supervisor/device/wake.h"

namespace bulkhead::supervisor {

class StartGate {
  struct Waiter {
    explicit Waiter(boost::asio::io_context& io) : wake(io) {}
    Wake wake;
    bool granted = false;
  };
  using Queue = std::deque<std::shared_ptr<Waiter>>;  // shared with the coroutine that waits
  struct State {
    unsigned free;
    Queue first, others;
  };

 public:
  // So many keep the processors busy, though each waits for the kernel now and then. Many more would not have
  // their first word ready before somebody loses patience with them, and start again for ever.
  static unsigned usual() { return 4 * usable_processors(); }

  explicit StartGate(boost::asio::io_context& io, unsigned at_once = usual())
      : io_(io), state_(std::make_shared<State>(at_once)) {}

  // Somebody else's begins when it ends. May outlive the gate.
  class Turn {
   public:
    Turn() = default;
    Turn(Turn&& other) noexcept : state_(std::move(other.state_)) {}
    Turn& operator=(Turn&& other) noexcept {
      if (this != &other) {
        end();
        state_ = std::move(other.state_);
      }
      return *this;
    }
    ~Turn() { end(); }
    void end() {
      if (auto state = std::exchange(state_, nullptr)) pass_on(*state);
    }

   private:
    friend class StartGate;
    explicit Turn(std::shared_ptr<State> state) : state_(std::move(state)) {}
    std::shared_ptr<State> state_;  // shared with the gate and all other turns
  };

  // Each queue in its order.
  boost::asio::awaitable<Turn> take(bool first) {
    if (state_->free > 0) {
      --state_->free;
      co_return Turn(state_);
    }
    auto waiter = std::make_shared<Waiter>(io_);
    (first ? state_->first : state_->others).push_back(waiter);
    const auto state = state_;
    while (!waiter->granted) co_await waiter->wake.wait_until(Wake::kNever);
    co_return Turn(state);
  }

 private:
  static void pass_on(State& state) {
    Queue& queue = state.first.empty() ? state.others : state.first;
    if (queue.empty()) {
      ++state.free;
      return;
    }
    const auto next = queue.front();
    queue.pop_front();
    next->granted = true;
    next->wake.notify();
  }

  boost::asio::io_context& io_;
  std::shared_ptr<State> state_;
};

}  // namespace bulkhead::supervisor
