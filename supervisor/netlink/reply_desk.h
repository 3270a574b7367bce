// Replies that the kernel waits for. It waits without a limit and can't be interrupted, so each event gets
// one on every path: a reply that is owed is an object, which answers when it goes away and when its time is
// up.
//
// Control thread only.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "base/error.h"
#include "supervisor/netlink/tcm_user_port.h"

namespace bulkhead::supervisor {

class ReplyDesk;

// Move-only. Destroyed unanswered: the kernel gets EIO. Safe to keep beyond its desk.
class [[nodiscard]] PendingReply {
 public:
  PendingReply() = default;  // nothing is owed
  PendingReply(PendingReply&& other) noexcept;
  PendingReply& operator=(PendingReply&& other) noexcept;
  ~PendingReply();

  // Success is status 0, an error its errno. False: it was answered already because its time was up, or the
  // kernel has stopped waiting for this one. After a late success of Added the kernel has dropped the device.
  bool answer(const Result<>& outcome);
  // No reply at all: the device belongs to another daemon, which answers. If there is none, the kernel waits
  // for ever.
  void leave_to_another_daemon();
  // From now; replaces the limit it began with.
  void set_limit(std::chrono::milliseconds limit);
  // Does the kernel still wait for it?
  [[nodiscard]] bool owed() const;

 private:
  friend class ReplyDesk;
  PendingReply(std::weak_ptr<ReplyDesk> desk, std::uint32_t device_id, std::uint64_t serial)
      : desk_(std::move(desk)), device_id_(device_id), serial_(serial) {}
  std::weak_ptr<ReplyDesk> desk_;
  std::uint32_t device_id_ = 0;
  std::uint64_t serial_ = 0;  // 0: nothing owed
};

class ReplyDesk : public std::enable_shared_from_this<ReplyDesk> {
 public:
  // `port` must outlive close().
  ReplyDesk(boost::asio::any_io_executor executor, TcmUserPort& port);
  ~ReplyDesk() { close(); }

  // The kernel matches a reply by device id alone and loses the waiter for ever if the kind is wrong. It has
  // at most one event open per device: a new one means that the one before is settled (another daemon
  // answered, or a reset), so what was owed for it is void and never sent.
  PendingReply owe(EventKind kind, std::uint32_t device_id, std::chrono::milliseconds limit);
  [[nodiscard]] bool owes() const { return !owed_.empty() || !unsent_.empty(); }
  // Names what is owed so far.
  [[nodiscard]] std::uint64_t latest() const { return last_serial_; }
  // The kernel has stopped waiting for that and everything before: it is not owed any more.
  void forget(std::uint64_t latest);
  // Answers all that is owed with EIO and sends no more.
  void close();

 private:
  friend class PendingReply;
  struct Owed {
    EventKind kind;
    std::uint64_t serial;
    boost::asio::steady_timer deadline;
  };
  struct Unsent {
    EventKind kind;
    std::uint32_t device_id;
    std::uint64_t serial;
    std::int32_t status;
  };
  [[nodiscard]] std::map<std::uint32_t, Owed>::iterator find(std::uint32_t device_id, std::uint64_t serial);
  bool settle(std::uint32_t device_id, std::uint64_t serial, std::int32_t status);
  void arm(std::uint32_t device_id, std::chrono::milliseconds limit);
  void send(const Unsent& reply);
  void retry_later();

  boost::asio::any_io_executor executor_;
  TcmUserPort* port_;  // nullptr: closed
  std::map<std::uint32_t, Owed> owed_;
  std::vector<Unsent> unsent_;  // the socket's buffer was full
  boost::asio::steady_timer retry_;
  std::uint64_t last_serial_ = 0;
};

}  // namespace bulkhead::supervisor
