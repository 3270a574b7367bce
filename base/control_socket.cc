#include "base/control_socket.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace bulkhead {
namespace {

constexpr std::size_t kMostFds = 253;  // SCM_MAX_FD
template <std::size_t fds>
using FdBuffer = std::array<std::byte, CMSG_SPACE(fds * sizeof(int))>;

std::vector<UniqueFd> take_fds(msghdr& header) {
  std::vector<UniqueFd> fds;
  for (cmsghdr* part = CMSG_FIRSTHDR(&header); part != nullptr; part = CMSG_NXTHDR(&header, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(part) + i * sizeof(int), sizeof fd);
      fds.emplace_back(fd);
    }
  }
  return fds;
}

// A peer that ended with bytes of ours unread is told of once, by ECONNRESET; what it said before is still
// there.
ssize_t receive(const UniqueFd& socket, msghdr& header, int flags) {
  bool reset = false;
  ssize_t got = 0;
  do got = ::recvmsg(socket.get(), &header, flags | MSG_DONTWAIT);
  while (got < 0 && (errno == EINTR || (errno == ECONNRESET && !std::exchange(reset, true))));
  return got;
}

}  // namespace

Result<std::array<UniqueFd, 2>> make_control_pair() {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) != 0)
    return fail_errno(errno, "make a control socket");
  return std::array<UniqueFd, 2>{UniqueFd(ends[0]), UniqueFd(ends[1])};
}

Result<> send_packet(const UniqueFd& socket, std::span<const std::byte> bytes, std::span<const int> fds) {
  if (bytes.size() > kMaxControlMessage || fds.size() > kMaxControlFds)
    return fail(Cause::BadInput, EMSGSIZE, "control message too large");
  iovec part{const_cast<std::byte*>(bytes.data()), bytes.size()};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  alignas(cmsghdr) FdBuffer<kMaxControlFds> buffer{};
  if (!fds.empty()) {
    header.msg_control = buffer.data();
    header.msg_controllen = CMSG_SPACE(fds.size_bytes());
    cmsghdr* rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(fds.size_bytes());
    std::memcpy(CMSG_DATA(rights), fds.data(), fds.size_bytes());
  }
  ssize_t sent = 0;
  do sent = ::sendmsg(socket.get(), &header, MSG_NOSIGNAL | MSG_DONTWAIT);
  while (sent < 0 && errno == EINTR);
  if (sent < 0) return fail_errno(errno, "send a control message");
  return {};
}

Result<std::optional<Packet>> receive_packet(const UniqueFd& socket) {
  // Most are short: room for the longest each time would have a host touch more memory than all else it does.
  msghdr header{};
  const ssize_t length = receive(socket, header, MSG_PEEK | MSG_TRUNC);
  if (length < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return std::nullopt;
  if (length < 0) return fail_errno(errno, "receive a control message");
  // No message of ours is empty, so this is the end of the connection (or a peer that breaks the rule).
  if (length == 0) return fail(Cause::PeerBroken, 0, "the peer closed the control socket");
  Packet packet{.bytes = std::string(std::min(static_cast<std::size_t>(length), kMaxControlMessage), '\0'),
                .fds = {}};
  iovec part{packet.bytes.data(), packet.bytes.size()};
  alignas(cmsghdr) FdBuffer<kMostFds> buffer;
  header = {};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = buffer.data();
  header.msg_controllen = buffer.size();
  if (receive(socket, header, MSG_CMSG_CLOEXEC) < 0) return fail_errno(errno, "receive a control message");
  packet.fds = take_fds(header);
  if ((header.msg_flags & MSG_TRUNC) != 0 && packet.fds.empty())
    return fail(Cause::PeerBroken, EMSGSIZE, "control message exceeds the limit");
  return packet;
}

}  // namespace bulkhead
