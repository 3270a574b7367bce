#include "supervisor/dbus/bus_loop.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <utility>

namespace bulkhead::supervisor {
namespace {

using namespace std::chrono_literals;
using Socket = boost::asio::posix::stream_descriptor;

constexpr std::chrono::milliseconds kFirstPause = 100ms;
constexpr std::chrono::milliseconds kLongestPause = 10s;
// A flood of calls must not keep netlink, child exits and timers waiting.
constexpr int kMessagesPerTurn = 32;
constexpr std::chrono::milliseconds kLongestTurn = 5ms;

}  // namespace

BusLoop::BusLoop(boost::asio::io_context& io, std::string address, Listener& listener)
    : io_(io),
      address_(std::move(address)),
      listener_(listener),
      socket_(io),
      sd_bus_timer_(io),
      retry_timer_(io),
      pause_(kFirstPause) {}

void BusLoop::start() {
  stopped_ = false;
  connect();
}

void BusLoop::stop() {
  stopped_ = true;
  retry_timer_.cancel();
  if (bus_) disconnect();
}

void BusLoop::drop(const Error& why) {
  if (!bus_) return;
  // A connection that lasted was a good one; one that ends at once shall not be repeated at once.
  if (std::chrono::steady_clock::now() - connected_at_ > kLongestPause) pause_ = kFirstPause;
  disconnect();
  retry_later(why);
}

void BusLoop::connect() {
  Result<> opened = open();
  if (!opened) {
    bus_.reset();
    return retry_later(opened.error());
  }
  ++session_;
  connected_at_ = std::chrono::steady_clock::now();
  Result<> exported = listener_.connected(bus_.get());
  if (!exported) return drop(exported.error());
  flush_soon();
}

Result<> BusLoop::open() {
  auto failed = [this](int r) {
    return fail_errno(-r, fmt::format("connect to the message bus at {}", address_));
  };
  int r = sd_bus_new(Out(bus_));
  if (r < 0) return failed(r);
  if (r = sd_bus_set_address(bus_.get(), address_.c_str()); r < 0) return failed(r);
  if (r = sd_bus_set_bus_client(bus_.get(), 1); r < 0) return failed(r);
  if (r = sd_bus_set_description(bus_.get(), "system"); r < 0) return failed(r);
  if (r = sd_bus_start(bus_.get()); r < 0) return failed(r);
  int fd = sd_bus_get_fd(bus_.get());
  if (fd < 0) return failed(fd);
  int copy = ::fcntl(fd, F_DUPFD_CLOEXEC, 3);
  if (copy < 0) return failed(-errno);
  socket_.assign(copy);
  return {};
}

void BusLoop::disconnect() {
  ++session_;
  reading_ = writing_ = false;
  listener_.disconnected();
  sd_bus_timer_.cancel();
  boost::system::error_code ignored;
  socket_.close(ignored);
  bus_.reset();
}

void BusLoop::retry_later(const Error& why) {
  if (stopped_) return;
  listener_.trouble(why, pause_);
  if (stopped_) return;
  retry_timer_.expires_after(pause_);
  pause_ = std::min(2 * pause_, kLongestPause);
  retry_timer_.async_wait([this](const boost::system::error_code& ec) {
    if (!ec && !stopped_ && !bus_) connect();
  });
}

void BusLoop::flush_soon() {
  if (!bus_ || std::exchange(flush_posted_, true)) return;
  boost::asio::post(io_, [this] {
    flush_posted_ = false;
    process();
  });
}

void BusLoop::process() {
  const auto end = std::chrono::steady_clock::now() + kLongestTurn;
  for (int i = 0; bus_ && i < kMessagesPerTurn && std::chrono::steady_clock::now() < end; ++i) {
    ++turn_;
    int r = sd_bus_process(bus_.get(), nullptr);
    if (r < 0) return drop(system_error(-r, fmt::format("message bus at {} is gone", address_)));
    if (r == 0) return wait();
  }
  flush_soon();
}

void BusLoop::wait() {
  int events = sd_bus_get_events(bus_.get());
  std::uint64_t deadline = 0;
  int r = sd_bus_get_timeout(bus_.get(), &deadline);
  if (events < 0 || r < 0)
    return drop(system_error(events < 0 ? -events : -r, fmt::format("message bus at {} is gone", address_)));
  wait_for(Socket::wait_read, reading_);
  if ((events & POLLOUT) != 0) wait_for(Socket::wait_write, writing_);
  if (deadline == UINT64_MAX) {
    sd_bus_timer_.cancel();
    return;
  }
  // Both count CLOCK_MONOTONIC.
  sd_bus_timer_.expires_at(std::chrono::steady_clock::time_point(std::chrono::microseconds(deadline)));
  sd_bus_timer_.async_wait([this, session = session_](const boost::system::error_code& ec) {
    if (!ec && session == session_) process();
  });
}

void BusLoop::wait_for(Socket::wait_type what, bool& waiting) {
  if (std::exchange(waiting, true)) return;
  socket_.async_wait(what, [this, &waiting, session = session_](const boost::system::error_code& ec) {
    if (session != session_) return;
    waiting = false;
    if (!ec) process();
  });
}

}  // namespace bulkhead::supervisor
