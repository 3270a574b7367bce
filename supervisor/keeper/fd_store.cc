#include "supervisor/keeper/fd_store.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>

#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <memory>

namespace bulkhead::supervisor {
namespace {

constexpr std::size_t kLongestName = 255;  // of systemd's FDNAME=

// systemd takes printable ASCII without a colon; a newline would be another assignment.
bool sendable(std::string_view name) {
  if (name.empty() || name.size() > kLongestName) return false;
  for (char letter : name)
    if (letter < ' ' || letter > '~' || letter == ':') return false;
  return true;
}

// A path, or "@NAME" in the abstract namespace, which is not terminated.
Result<socklen_t> fill_address(const std::string& text, sockaddr_un& address) {
  if (text.size() >= sizeof address.sun_path || (text[0] != '/' && text[0] != '@'))
    return fail(Cause::BadInput, EINVAL,
                fmt::format("NOTIFY_SOCKET is '{}', which is no socket's name", text));
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, text.data(), text.size());
  const std::size_t before = offsetof(sockaddr_un, sun_path);
  if (text[0] == '/') return static_cast<socklen_t>(before + text.size() + 1);
  address.sun_path[0] = '\0';
  return static_cast<socklen_t>(before + text.size());
}

struct FreeStrings {
  void operator()(char** strings) const {
    for (char** one = strings; *one != nullptr; ++one) std::free(*one);
    std::free(static_cast<void*>(strings));
  }
};

}  // namespace

Result<std::vector<KeptFd>> FdStore::take_kept() {
  char** raw = nullptr;
  const int count = ::sd_listen_fds_with_names(1, &raw);
  const std::unique_ptr<char*, FreeStrings> names(raw);
  if (count < 0)
    return fail(
        Cause::PeerBroken, -count,
        fmt::format("descriptors kept by systemd (LISTEN_FDS, LISTEN_FDNAMES): {}", errno_text(-count)));
  std::vector<KeptFd> kept;
  kept.reserve(static_cast<std::size_t>(count));
  for (int i = 0; i < count; ++i)
    kept.push_back({.name = names.get()[i], .fd = UniqueFd(SD_LISTEN_FDS_START + i)});
  return kept;
}

FdStore FdStore::from_environment() {
  const char* notify_socket = std::getenv("NOTIFY_SOCKET");
  return FdStore(notify_socket != nullptr ? notify_socket : "");
}

Result<> FdStore::keep(std::string_view name, const UniqueFd& fd) const {
  if (!sendable(name))
    return fail(Cause::BadInput, EINVAL, "a descriptor's name in the fd store is not valid");
  // FDPOLL=0: systemd would otherwise drop a pidfd or socket whose process is gone, unseen by anybody.
  return send(fmt::format("FDSTORE=1\nFDNAME={}\nFDPOLL=0", name), &fd);
}

Result<> FdStore::drop(std::string_view name) const {
  if (!sendable(name))
    return fail(Cause::BadInput, EINVAL, "a descriptor's name in the fd store is not valid");
  return send(fmt::format("FDSTOREREMOVE=1\nFDNAME={}", name), nullptr);
}

// BARRIER=1: systemd closes the descriptor when its turn comes.
Result<> FdStore::settle() const {
  if (!available()) return {};
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return fail_errno(errno, "make a pipe to wait for systemd");
  const UniqueFd ours(ends[0]);
  UniqueFd theirs(ends[1]);
  if (auto sent = send("BARRIER=1", &theirs); !sent) return sent;
  theirs.reset();
  const auto deadline = std::chrono::steady_clock::now() + patience_;
  for (;;) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now()).count();
    pollfd closed{.fd = ours.get(), .events = 0, .revents = 0};
    const int ready = left > 0 ? ::poll(&closed, 1, static_cast<int>(left)) : 0;
    if (ready > 0) return {};
    if (ready == 0)
      return fail(Cause::TimedOut, ETIMEDOUT,
                  fmt::format("systemd did not get to its messages within {} ms", patience_.count()));
    if (errno != EINTR) return fail_errno(errno, "wait for systemd");
  }
}

// As sd_pid_notify_with_fds() does it, but that one waits for ever.
Result<> FdStore::send(std::string_view message, const UniqueFd* fd) const {
  if (!available()) return {};
  sockaddr_un address{};
  const auto length = fill_address(notify_socket_, address);
  if (!length) return std::unexpected(length.error());
  const UniqueFd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socket) return fail_errno(errno, "make a socket to systemd");
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(patience_);
  const auto rest = std::chrono::duration_cast<std::chrono::microseconds>(patience_ - seconds);
  const timeval limit{.tv_sec = seconds.count(), .tv_usec = rest.count()};
  if (::setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) != 0)
    return fail_errno(errno, "set a deadline for a message to systemd");

  iovec part{const_cast<char*>(message.data()), message.size()};
  msghdr header{};
  header.msg_name = &address;
  header.msg_namelen = *length;
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  alignas(cmsghdr) std::byte buffer[CMSG_SPACE(sizeof(int))] = {};
  if (fd != nullptr) {
    header.msg_control = buffer;
    header.msg_controllen = sizeof buffer;
    cmsghdr* rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof(int));
    const int number = fd->get();
    std::memcpy(CMSG_DATA(rights), &number, sizeof number);
  }
  ssize_t sent = 0;
  do sent = ::sendmsg(socket.get(), &header, MSG_NOSIGNAL);
  while (sent < 0 && errno == EINTR);
  if (sent >= 0) return {};
  if (errno == EAGAIN || errno == EWOULDBLOCK)
    return fail(Cause::TimedOut, ETIMEDOUT,
                fmt::format("systemd does not read {} within {} ms", notify_socket_, patience_.count()));
  return fail_errno(errno, fmt::format("send to systemd at {}", notify_socket_));
}

}  // namespace bulkhead::supervisor
