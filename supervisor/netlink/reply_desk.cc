#include "supervisor/netlink/reply_desk.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/log.h"

namespace bulkhead::supervisor {
namespace {

constexpr std::chrono::milliseconds kRetryAfter{10};
constexpr int kMaxErrno = 4095;  // MAX_ERRNO: what the kernel takes for an error

std::int32_t status_of(const Result<>& outcome) {
  return outcome ? 0 : -std::clamp(errno_of(outcome.error()), 1, kMaxErrno);
}

}  // namespace

PendingReply::PendingReply(PendingReply&& other) noexcept
    : desk_(std::move(other.desk_)), device_id_(other.device_id_), serial_(std::exchange(other.serial_, 0)) {}

PendingReply& PendingReply::operator=(PendingReply&& other) noexcept {
  if (this == &other) return *this;
  const PendingReply abandoned(std::move(*this));
  desk_ = std::move(other.desk_);
  device_id_ = other.device_id_;
  serial_ = std::exchange(other.serial_, 0);
  return *this;
}

PendingReply::~PendingReply() {
  if (const auto desk = desk_.lock(); desk && serial_ != 0) desk->settle(device_id_, serial_, -EIO);
}

bool PendingReply::answer(const Result<>& outcome) {
  const std::uint64_t serial = std::exchange(serial_, 0);
  if (serial == 0) return true;
  const auto desk = desk_.lock();
  return desk && desk->settle(device_id_, serial, status_of(outcome));
}

void PendingReply::leave_to_another_daemon() {
  const std::uint64_t serial = std::exchange(serial_, 0);
  const auto desk = desk_.lock();
  if (!desk) return;
  if (const auto entry = desk->find(device_id_, serial); entry != desk->owed_.end()) desk->owed_.erase(entry);
}

void PendingReply::set_limit(std::chrono::milliseconds limit) {
  if (owed()) desk_.lock()->arm(device_id_, limit);
}

bool PendingReply::owed() const {
  const auto desk = desk_.lock();
  return desk && desk->find(device_id_, serial_) != desk->owed_.end();
}

ReplyDesk::ReplyDesk(boost::asio::any_io_executor executor, TcmUserPort& port)
    : executor_(std::move(executor)), port_(&port), retry_(executor_) {}

std::map<std::uint32_t, ReplyDesk::Owed>::iterator ReplyDesk::find(std::uint32_t device_id,
                                                                   std::uint64_t serial) {
  const auto entry = owed_.find(device_id);
  return entry != owed_.end() && entry->second.serial == serial ? entry : owed_.end();
}

PendingReply ReplyDesk::owe(EventKind kind, std::uint32_t device_id, std::chrono::milliseconds limit) {
  if (port_ == nullptr) return {};
  owed_.erase(device_id);
  std::erase_if(unsent_, [device_id](const Unsent& reply) { return reply.device_id == device_id; });
  owed_.emplace(device_id, Owed{kind, ++last_serial_, boost::asio::steady_timer(executor_)});
  arm(device_id, limit);
  return {weak_from_this(), device_id, last_serial_};
}

void ReplyDesk::arm(std::uint32_t device_id, std::chrono::milliseconds limit) {
  Owed& owed = owed_.at(device_id);
  owed.deadline.expires_after(limit);
  owed.deadline.async_wait([weak = weak_from_this(), device_id,
                            serial = owed.serial](boost::system::error_code stopped) {
    const auto desk = weak.lock();
    if (stopped || !desk) return;
    const auto entry = desk->find(device_id, serial);
    // Armed anew while this was on its way.
    if (entry == desk->owed_.end() || entry->second.deadline.expiry() > std::chrono::steady_clock::now())
      return;
    log(Level::Warning, {.message_id = kMsgNetlinkReply},
        fmt::format("the kernel's {} event of device id {} was not settled in time; answered with a timeout",
                    to_string(entry->second.kind), device_id));
    desk->settle(device_id, serial, -ETIMEDOUT);
  });
}

bool ReplyDesk::settle(std::uint32_t device_id, std::uint64_t serial, std::int32_t status) {
  const auto entry = find(device_id, serial);
  if (entry == owed_.end()) return false;
  const EventKind kind = entry->second.kind;
  owed_.erase(entry);
  send({kind, device_id, serial, status});
  return true;
}

void ReplyDesk::send(const Unsent& reply) {
  const Result<> sent = port_->send_done(reply.kind, reply.device_id, reply.status);
  if (sent) return;
  if (sent.error().cause == Cause::Busy || sent.error().cause == Cause::Exhausted) {
    unsent_.push_back(reply);
    return retry_later();
  }
  if (sent.error().cause == Cause::NotFound) return log(Level::Debug, {}, sent.error().what);
  log(Level::Error, {.sys_errno = sent.error().sys_errno, .message_id = kMsgNetlinkReply},
      sent.error().what + "; whoever configures the device may hang until target_core_user's reset_netlink");
}

void ReplyDesk::retry_later() {
  retry_.expires_after(kRetryAfter);
  retry_.async_wait([weak = weak_from_this()](boost::system::error_code stopped) {
    const auto desk = weak.lock();
    if (stopped || !desk || desk->port_ == nullptr) return;
    for (const Unsent& reply : std::exchange(desk->unsent_, {})) desk->send(reply);
  });
}

void ReplyDesk::forget(std::uint64_t latest) {
  std::erase_if(owed_, [latest](const auto& entry) { return entry.second.serial <= latest; });
  std::erase_if(unsent_, [latest](const Unsent& reply) { return reply.serial <= latest; });
}

void ReplyDesk::close() {
  if (port_ == nullptr) return;
  while (!owed_.empty()) settle(owed_.begin()->first, owed_.begin()->second.serial, -EIO);
  for (const Unsent& reply : std::exchange(unsent_, {})) send(reply);  // the last try
  for (const Unsent& reply : unsent_)
    log(Level::Error, {.message_id = kMsgNetlinkReply},
        fmt::format(
            "device id {}: its {} reply could not be sent before the end; it waits for the next start",
            reply.device_id, to_string(reply.kind)));
  port_ = nullptr;
}

}  // namespace bulkhead::supervisor
