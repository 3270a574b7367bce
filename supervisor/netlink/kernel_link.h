// The line to the kernel: its device events, in order, each with the reply that it waits for.
// Control thread only.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <chrono>
#include <deque>
#include <memory>
#include <string>
#include <variant>

#include "base/error.h"
#include "base/rate_limit.h"
#include "supervisor/netlink/kernel_event.h"
#include "supervisor/netlink/reply_desk.h"
#include "supervisor/netlink/tcm_user_port.h"

namespace bulkhead::supervisor {

struct Announced {
  KernelEvent event;
  PendingReply reply;  // owes nothing if the kernel does not wait
};
// Events may have been missed: read sysfs again, and end_pending_netlink_waits(), since the kernel may wait
// for replies to what was missed and only its kind is unknown.
struct Resync {
  std::string reason;
};
using LinkEvent = std::variant<Announced, Resync>;

class KernelLink {
 public:
  // A reply that nobody gave after `reply_limit` is given as a timeout.
  KernelLink(const boost::asio::any_io_executor& executor, std::unique_ptr<TcmUserPort> port,
             std::chrono::milliseconds reply_limit);
  ~KernelLink();

  // Once, at the start. False: the module is not loaded; next() then gives a Resync as soon as it is.
  // Subscribes, so look for existing devices after it. Errors: Denied and the like; next() must not be called
  // then.
  [[nodiscard]] Result<bool> start();

  // The next event. A malformed one is answered and logged here. Error: the socket is broken, or the module
  // came and we may not speak to it. Not to be called by two coroutines at once.
  boost::asio::awaitable<Result<LinkEvent>> next();

  // Whether the kernel waits for any reply of ours.
  [[nodiscard]] bool owes() const { return desk_->owes(); }
  // Names what is owed so far.
  [[nodiscard]] std::uint64_t latest_owed() const { return desk_->latest(); }
  // After end_pending_netlink_waits(): what was owed before it is void, a reply could meet another wait.
  void forget_owed(std::uint64_t latest) { desk_->forget(latest); }
  // Before the end, if nobody comes next: TcmUserPort::wait_no_more(). What is owed stays owed.
  [[nodiscard]] Result<> wait_no_more() { return port_->wait_no_more(); }
  // At the end: answers what is owed with EIO, sends nothing later.
  void close() { desk_->close(); }

  // For a wait that began without us: a device that is not configured yet waits for the reply to Added.
  [[nodiscard]] PendingReply owe(EventKind kind, std::uint32_t device_id);

 private:
  void take(std::span<const std::byte> datagram);
  void take_message(std::span<const std::byte> message);
  void take_event(ReceivedEvent received);
  void take_family_notice(const FamilyNotice& notice);
  void attach_again(std::string reason);

  const std::chrono::milliseconds reply_limit_;
  std::unique_ptr<TcmUserPort> port_;
  std::shared_ptr<ReplyDesk> desk_;  // shared with timers on their way; PendingReply holds it weakly
  boost::asio::posix::stream_descriptor readable_;
  std::deque<Result<LinkEvent>> arrived_;
  bool overrun_ = false;  // events were dropped, and more may be until the socket is empty
  RateLimit complaints_{10, std::chrono::seconds(60)};
};

}  // namespace bulkhead::supervisor
