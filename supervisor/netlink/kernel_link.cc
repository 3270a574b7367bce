#include "supervisor/netlink/kernel_link.h"

#include <fmt/format.h>
#include <linux/netlink.h>

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/log.h"

namespace bulkhead::supervisor {

KernelLink::KernelLink(const boost::asio::any_io_executor& executor, std::unique_ptr<TcmUserPort> port,
                       std::chrono::milliseconds reply_limit)
    : reply_limit_(reply_limit),
      port_(std::move(port)),
      desk_(std::make_shared<ReplyDesk>(executor, *port_)),
      readable_(executor, port_->fd()) {}

KernelLink::~KernelLink() {
  desk_->close();
  arrived_.clear();
  readable_.release();  // the descriptor is the port's
}

Result<bool> KernelLink::start() {
  const Result<> attached = port_->attach();
  if (attached) return true;
  if (attached.error().cause == Cause::NotFound) return false;
  return std::unexpected(attached.error());
}

PendingReply KernelLink::owe(EventKind kind, std::uint32_t device_id) {
  return desk_->owe(kind, device_id, reply_limit_);
}

boost::asio::awaitable<Result<LinkEvent>> KernelLink::next() {
  while (arrived_.empty()) {
    Result<std::optional<std::vector<std::byte>>> datagram = port_->receive();
    if (!datagram && datagram.error().sys_errno == ENOBUFS) {
      // Said once: the kernel goes on dropping events in silence until everything here has been read. Only
      // what is looked for after that is looked for late enough (netlink_overrun(), netlink_rcv_wake() in
      // af_netlink.c).
      overrun_ = true;
    } else if (!datagram) {
      co_return std::unexpected(std::move(datagram.error()));
    } else if (*datagram) {
      take(**datagram);
    } else if (std::exchange(overrun_, false)) {
      attach_again("the kernel sent netlink events faster than they were read");
    } else {
      boost::system::error_code trouble;
      auto token = boost::asio::redirect_error(boost::asio::use_awaitable, trouble);
      co_await readable_.async_wait(boost::asio::posix::stream_descriptor::wait_read, token);
      if (trouble) co_return fail_errno(trouble.value(), "wait for netlink events");
    }
  }
  Result<LinkEvent> event = std::move(arrived_.front());
  arrived_.pop_front();
  co_return event;
}

// A datagram is one message after the other, each padded to 4 bytes (netlink(7)).
void KernelLink::take(std::span<const std::byte> datagram) {
  while (datagram.size() >= sizeof(nlmsghdr)) {
    nlmsghdr header{};
    std::memcpy(&header, datagram.data(), sizeof header);
    if (header.nlmsg_len < sizeof header || header.nlmsg_len > datagram.size()) break;
    take_message(datagram.first(header.nlmsg_len));
    datagram = datagram.subspan(std::min<std::size_t>(NLMSG_ALIGN(header.nlmsg_len), datagram.size()));
  }
}

void KernelLink::take_message(std::span<const std::byte> message) {
  if (const auto notice = parse_family_notice(message)) return take_family_notice(*notice);
  if (port_->family() == 0) return;
  Result<std::optional<ReceivedEvent>> received = parse_event(message, port_->family());
  if (received && *received) take_event(std::move(**received));
}

void KernelLink::take_event(ReceivedEvent received) {
  PendingReply reply = received.owed_to ? owe(received.kind, *received.owed_to) : PendingReply();
  if (received.event) {
    arrived_.push_back(Announced{std::move(*received.event), std::move(reply)});
    return;
  }
  const Error& error = received.event.error();
  if (complaints_.admit()) log(Level::Warning, {.message_id = kMsgNetlinkReply}, error.what + "; refused");
  reply.answer(std::unexpected(error));
  // The device goes away whatever the reply says, and nobody here knows which one it was.
  if (received.kind == EventKind::Removed) arrived_.push_back(Resync{error.what});
}

void KernelLink::take_family_notice(const FamilyNotice& notice) {
  if (notice.name != kTcmUserFamily) return;
  if (notice.registered) return attach_again("target_core_user was loaded");
  log(Level::Warning, {.message_id = kMsgKernelInterface},
      "target_core_user was unloaded; no device can be created");
}

// The family's numbers, our membership and the kernel's "waits for replies" all belong to one life of the
// module.
void KernelLink::attach_again(std::string reason) {
  const Result<> attached = port_->attach();
  if (attached || attached.error().cause == Cause::NotFound)
    arrived_.push_back(Resync{std::move(reason)});
  else
    arrived_.push_back(std::unexpected(attached.error()));
}

}  // namespace bulkhead::supervisor
