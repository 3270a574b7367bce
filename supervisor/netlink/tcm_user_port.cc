#include "supervisor/netlink/tcm_user_port.h"

#include <fmt/format.h>
#include <linux/genetlink.h>
#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>
#include <netlink/netlink.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <span>

#include "supervisor/netlink/tcm_user_abi.h"

namespace bulkhead::supervisor {
namespace {

// Events are 200 bytes or so in buffers of 4 KiB: room for hundreds of devices that come and go at once.
constexpr int kReceiveBytes = 4 * 1024 * 1024;
constexpr std::size_t kMaxDatagram = 64 * 1024;

struct NlDeleter {
  void operator()(nl_sock* socket) const { ::nl_socket_free(socket); }
  void operator()(nl_msg* message) const { ::nlmsg_free(message); }
};
using NlSocket = std::unique_ptr<nl_sock, NlDeleter>;
using NlMessage = std::unique_ptr<nl_msg, NlDeleter>;

std::unexpected<Error> netlink_error(int code, std::string_view doing) {
  const std::string what = fmt::format("{}: {}", doing, ::nl_geterror(code));
  switch (-code) {
    case NLE_PERM:
    case NLE_NOACCESS:
      return fail(Cause::Denied, EPERM, what + "; it needs CAP_NET_ADMIN in the initial user namespace");
    case NLE_OBJ_NOTFOUND:
      return fail(Cause::NotFound, ENOENT, what);
    case NLE_OPNOTSUPP:
      return fail(Cause::Backend, EOPNOTSUPP, what);
    default:
      return fail(Cause::Backend, EIO, what);
  }
}

Result<NlSocket> connect() {
  NlSocket socket(::nl_socket_alloc());
  if (!socket) return fail(Cause::Exhausted, ENOMEM, "make a netlink socket");
  const int result = ::genl_connect(socket.get());
  if (result < 0) return netlink_error(result, "connect to generic netlink");
  return socket;
}

std::uint8_t done_command(EventKind kind) {
  switch (kind) {
    case EventKind::Added:
      return TCMU_CMD_ADDED_DEVICE_DONE;
    case EventKind::Removed:
      return TCMU_CMD_REMOVED_DEVICE_DONE;
    case EventKind::Reconfig:
      return TCMU_CMD_RECONFIG_DEVICE_DONE;
  }
  return TCMU_CMD_UNSPEC;
}

// On a socket of its own: an event that came in between would be lost in libnl's wait for the
// acknowledgement.
Result<> set_features(int family, bool replies) {
  Result<NlSocket> socket = connect();
  if (!socket) return std::unexpected(std::move(socket.error()));
  NlMessage message(::nlmsg_alloc());
  if (!message ||
      ::genlmsg_put(message.get(), NL_AUTO_PORT, NL_AUTO_SEQ, family, 0, 0, TCMU_CMD_SET_FEATURES, 2) ==
          nullptr ||
      ::nla_put_u8(message.get(), TCMU_ATTR_SUPP_KERN_CMD_REPLY, replies ? 1 : 0) < 0)
    return fail(Cause::Exhausted, ENOMEM, "make a SET_FEATURES message");
  const int result = ::nl_send_sync(socket->get(), message.release());  // takes the message, sent or not
  // A kernel that has no such command never waits for replies either.
  if (result < 0 && result != -NLE_OPNOTSUPP)
    return netlink_error(
        result, replies ? "tell the kernel to wait for replies" : "tell the kernel to wait for no replies");
  return {};
}

class GenlPort final : public TcmUserPort {
 public:
  GenlPort(NlSocket socket, NlSocket replies) : socket_(std::move(socket)), replies_(std::move(replies)) {}

  Result<> attach() override {
    family_ = 0;
    Result<NlSocket> asking = connect();
    if (!asking) return std::unexpected(std::move(asking.error()));
    const int family = ::genl_ctrl_resolve(asking->get(), kTcmUserFamily);
    if (family < 0)
      return netlink_error(
          family, fmt::format("find netlink family {} (is target_core_user loaded?)", kTcmUserFamily));
    const int group = ::genl_ctrl_resolve_grp(asking->get(), kTcmUserFamily, "config");
    if (group < 0) return netlink_error(group, "find the group of TCM-USER");
    const int joined = ::nl_socket_add_membership(socket_.get(), group);
    if (joined < 0) return netlink_error(joined, "join the group of TCM-USER");
    Result<> features = set_features(family, true);
    if (features) family_ = static_cast<std::uint16_t>(family);
    return features;
  }

  Result<> wait_no_more() override {
    if (family_ == 0) return {};
    return set_features(family_, false);
  }

  std::uint16_t family() const override { return family_; }
  int fd() const override { return ::nl_socket_get_fd(socket_.get()); }

  Result<std::optional<std::vector<std::byte>>> receive() override {
    std::vector<std::byte> datagram(kMaxDatagram);
    for (;;) {
      sockaddr_nl sender{};
      socklen_t sender_bytes = sizeof sender;
      const ssize_t got = ::recvfrom(fd(), datagram.data(), datagram.size(), MSG_DONTWAIT,
                                     reinterpret_cast<sockaddr*>(&sender), &sender_bytes);
      if (got < 0 && errno == EINTR) continue;
      if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return std::nullopt;
      if (got < 0 && errno == ENOBUFS) return fail(Cause::Exhausted, ENOBUFS, "netlink events were lost");
      if (got < 0) return fail_errno(errno, "receive netlink events");
      if (sender.nl_pid != 0) continue;  // some process, not the kernel
      datagram.resize(static_cast<std::size_t>(got));
      return datagram;
    }
  }

  Result<> send_done(EventKind kind, std::uint32_t device_id, std::int32_t status) override {
    NlMessage message(::nlmsg_alloc());
    if (!message ||
        ::genlmsg_put(message.get(), NL_AUTO_PORT, ++sequence_, family_, 0, NLM_F_REQUEST | NLM_F_ACK,
                      done_command(kind), 2) == nullptr ||
        ::nla_put_s32(message.get(), TCMU_ATTR_CMD_STATUS, status) < 0 ||
        ::nla_put_u32(message.get(), TCMU_ATTR_DEVICE_ID, device_id) < 0)
      return fail(Cause::Exhausted, ENOMEM, "make a reply to the kernel");
    const nlmsghdr* bytes = ::nlmsg_hdr(message.get());
    // Not libnl's send: it loses which errno it was.
    const int fd = ::nl_socket_get_fd(replies_.get());
    if (::send(fd, bytes, bytes->nlmsg_len, MSG_DONTWAIT) < 0)
      return fail(errno == EAGAIN || errno == EINTR     ? Cause::Busy
                  : errno == ENOBUFS || errno == ENOMEM ? Cause::Exhausted
                                                        : Cause::Backend,
                  errno, fmt::format("send {} reply: {}", to_string(kind), errno_text(errno)));
    return verdict_on(kind, device_id);
  }

 private:
  // Generic netlink handles a request within send(), so its acknowledgement is here already.
  Result<> verdict_on(EventKind kind, std::uint32_t device_id) {
    std::array<std::byte, 1024> buffer{};
    const ssize_t got =
        ::recv(::nl_socket_get_fd(replies_.get()), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (got < 0) return {};  // lost for want of memory: nothing is known, and most replies are taken
    const auto refused = parse_refusal(std::span(buffer).first(static_cast<std::size_t>(got)));
    if (!refused) return {};
    return fail(refused->sys_errno == ENODEV ? Cause::NotFound : Cause::PeerBroken, refused->sys_errno,
                fmt::format("the kernel refused the {} reply for device id {}: {}", to_string(kind),
                            device_id, errno_text(refused->sys_errno)));
  }

  NlSocket socket_;   // events
  NlSocket replies_;  // apart: acknowledgements must not take the room of events
  std::uint16_t family_ = 0;
  std::uint32_t sequence_ = 0;
};

}  // namespace

Result<std::unique_ptr<TcmUserPort>> open_tcm_user_port() {
  Result<NlSocket> socket = connect();
  if (!socket) return std::unexpected(std::move(socket.error()));
  ::nl_socket_set_nonblocking(socket->get());
  const int fd = ::nl_socket_get_fd(socket->get());
  if (::setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &kReceiveBytes, sizeof kReceiveBytes) != 0)
    ::setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &kReceiveBytes, sizeof kReceiveBytes);  // as much as we may
  Result<NlSocket> asking = connect();
  if (!asking) return std::unexpected(std::move(asking.error()));
  const int group = ::genl_ctrl_resolve_grp(asking->get(), "nlctrl", "notify");
  const int joined = group < 0 ? group : ::nl_socket_add_membership(socket->get(), group);
  if (joined < 0) return netlink_error(joined, "watch for netlink families");
  Result<NlSocket> replies = connect();
  if (!replies) return std::unexpected(std::move(replies.error()));
  return std::make_unique<GenlPort>(std::move(*socket), std::move(*replies));
}

}  // namespace bulkhead::supervisor
