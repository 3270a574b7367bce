// The service's state for systemd and `systemctl status` (sd_notify(3): READY=1, STATUS=..., STOPPING=1),
// told off the control thread: a systemd that does not read its socket, frozen or under load, would otherwise
// hold up whoever tells it.
//
// Threads: the io_context's. Must outlive the io_context's last run.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <deque>
#include <string>

#include "supervisor/configfs/blocking_pool.h"
#include "supervisor/keeper/fd_store.h"

namespace bulkhead::supervisor {

class ServiceState {
 public:
  ServiceState(boost::asio::io_context& io, BlockingPool& pool, FdStore store)
      : io_(io), pool_(pool), store_(std::move(store)), told_(io) {}

  // Returns at once. States arrive in the order they were told in. While systemd does not read, there is a
  // warning each time that FdStore's patience ends.
  void tell(std::string state);
  // Waits until systemd has been sent everything so far, at most FdStore::kPatience.
  [[nodiscard]] boost::asio::awaitable<void> told();

 private:
  boost::asio::awaitable<void> send_waiting();

  boost::asio::io_context& io_;
  BlockingPool& pool_;
  const FdStore store_;
  std::deque<std::string> waiting_;  // the front is being sent
  boost::asio::steady_timer told_;
};

}  // namespace bulkhead::supervisor
