// The kernel's side of the netlink socket, for tests: makes messages byte by byte, and records replies.
#pragma once

#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <deque>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "base/unique_fd.h"
#include "supervisor/netlink/tcm_user_abi.h"
#include "supervisor/netlink/tcm_user_port.h"

namespace bulkhead::supervisor {

inline constexpr std::uint16_t kTestFamily = 0x1b;

// A netlink message: struct nlmsghdr, struct genlmsghdr, attributes padded to 4 bytes.
class MessageBuilder {
 public:
  explicit MessageBuilder(std::uint8_t command, std::uint8_t version = 2, std::uint16_t type = kTestFamily) {
    const nlmsghdr header{0, type, 0, 0, 0};
    const genlmsghdr generic{command, version, 0};
    put(&header, sizeof header);
    put(&generic, sizeof generic);
  }
  MessageBuilder& bytes(std::uint16_t type, const void* from, std::size_t size) {
    const nlattr header{static_cast<std::uint16_t>(NLA_HDRLEN + size), type};
    put(&header, sizeof header);
    put(from, size);
    message_.resize(NLA_ALIGN(message_.size()));
    return *this;
  }
  MessageBuilder& text(std::uint16_t type, std::string_view value) {
    const std::string terminated(value);
    return bytes(type, terminated.c_str(), terminated.size() + 1);
  }
  template <class T>
  MessageBuilder& number(std::uint16_t type, T value) {
    return bytes(type, &value, sizeof value);
  }
  [[nodiscard]] std::vector<std::byte> build() const {
    std::vector<std::byte> message = message_;
    const auto size = static_cast<std::uint32_t>(message.size());
    std::memcpy(message.data(), &size, sizeof size);
    return message;
  }

 private:
  void put(const void* from, std::size_t size) {
    const auto* first = static_cast<const std::byte*>(from);
    message_.insert(message_.end(), first, first + size);
  }
  std::vector<std::byte> message_;
};

// As tcmu_netlink_event_init() of 6.1 writes it.
inline MessageBuilder device_message(std::uint8_t command, std::string_view name, std::uint32_t device_id) {
  MessageBuilder message(command);
  message.text(TCMU_ATTR_DEVICE, name).number(TCMU_ATTR_MINOR, std::uint32_t{3});
  message.number(TCMU_ATTR_DEVICE_ID, device_id);
  return message;
}

struct SentReply {
  EventKind kind;
  std::uint32_t device_id;
  std::int32_t status;
  bool operator==(const SentReply&) const = default;
};

class FakePort final : public TcmUserPort {
 public:
  Result<> attach() override {
    ++attached;
    if (attach_result) family_ = kTestFamily;
    replies_wanted = true;
    return attach_result;
  }
  Result<> wait_no_more() override {
    replies_wanted = false;
    return {};
  }
  std::uint16_t family() const override { return family_; }
  int fd() const override { return ready_.get(); }
  Result<std::optional<std::vector<std::byte>>> receive() override {
    std::uint64_t count = 0;
    if (incoming_.empty()) {
      if (::read(ready_.get(), &count, sizeof count) < 0 && errno != EAGAIN)
        return fail_errno(errno, "eventfd");
      return std::nullopt;
    }
    auto next = std::move(incoming_.front());
    incoming_.pop_front();
    return next;
  }
  Result<> send_done(EventKind kind, std::uint32_t device_id, std::int32_t status) override {
    if (refuse_sends > 0) {
      --refuse_sends;
      return std::unexpected(send_error);
    }
    sent.push_back({kind, device_id, status});
    return {};
  }

  void deliver(std::vector<std::byte> datagram) { enqueue(std::move(datagram)); }
  void deliver(const MessageBuilder& message) { enqueue(message.build()); }
  void overrun() { enqueue(fail(Cause::Exhausted, ENOBUFS, "lost")); }
  void break_down() { enqueue(fail(Cause::Backend, EBADF, "broken")); }

  int attached = 0;
  bool replies_wanted = false;
  Result<> attach_result;
  int refuse_sends = 0;
  Error send_error{Cause::Exhausted, ENOBUFS, "no room"};
  std::vector<SentReply> sent;

 private:
  void enqueue(Result<std::optional<std::vector<std::byte>>> what) {
    incoming_.push_back(std::move(what));
    const std::uint64_t one = 1;
    if (::write(ready_.get(), &one, sizeof one) != sizeof one) std::abort();
  }
  std::uint16_t family_ = 0;
  UniqueFd ready_{::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};
  std::deque<Result<std::optional<std::vector<std::byte>>>> incoming_;
};

}  // namespace bulkhead::supervisor
