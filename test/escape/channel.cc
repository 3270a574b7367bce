// What only the host of a LUN has: a channel, and a supervisor that listens. Told by the scenario from the
// attempts before, as these walls are others: how the memory is shared, and what the supervisor checks.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

#include "base/control_socket.h"
#include "proto/control.pb.h"
#include "test/escape/attempts.h"
#include "test/liar/lies.h"

namespace bulkhead::test {
namespace {

constexpr int kControlSocket = 3;  // handler-host/runtime/main.cc

std::byte* own_data(const Targets& told) {
  // NOLINTNEXTLINE(performance-no-int-to-ptr): it comes as text
  return reinterpret_cast<std::byte*>(static_cast<std::uintptr_t>(told.number("data")));
}

// The requests, which only the supervisor may write.
std::byte* requests(const Targets& told) {
  const int fd = static_cast<int>(told.number("own_fd"));
  struct stat before{};
  if (::fstat(fd, &before) != 0) return nullptr;
  auto* found = const_cast<std::byte*>(find_channel(own_data(told), fd).requests);
  return ::ftruncate(fd, before.st_size) == 0 ? found : nullptr;
}

// The same is done first to memory of the channel that a host may write: it must succeed there.
template <class Act>
int to_requests(const Targets& told, Act act) {
  std::byte* const data = own_data(told);
  if (act(data - reinterpret_cast<std::uintptr_t>(data) % 4096) != 0) return ENOTRECOVERABLE;
  std::byte* const target = requests(told);
  return target == nullptr ? ENOTRECOVERABLE : act(target);
}

int write_requests(const Targets& told) {
  // By the kernel, which says so instead of ending us.
  return to_requests(told, [fd = static_cast<int>(told.number("own_fd"))](std::byte* page) {
    return refusal(::pread(fd, page, 1, 0));
  });
}
int unprotect_requests(const Targets& told) {
  return to_requests(told,
                     [](std::byte* page) { return refusal(::mprotect(page, 4096, PROT_READ | PROT_WRITE)); });
}
// No descriptor of it is left.
int shrink_channel(const Targets&) {
  for (int fd = kControlSocket + 1; fd < 64; ++fd)
    if (::fcntl(fd, F_GET_SEALS) >= 0) return refusal(::ftruncate(fd, 0));
  return EBADF;
}

int give(const std::vector<int>& fds) {
  control::Message message;
  message.mutable_log()->set_level(6);
  message.mutable_log()->set_text("a gift");
  const std::string bytes = message.SerializeAsString();
  const UniqueFd socket(::fcntl(kControlSocket, F_DUPFD_CLOEXEC, 0));
  const auto sent = send_packet(socket, std::as_bytes(std::span(bytes)), fds);
  return sent ? 0 : EPIPE;
}
// A socket that is sent through itself is what only the kernel's garbage collection frees.
int give_socket(const Targets&) {
  return give({kControlSocket});
}
int give_file(const Targets& told) {
  return give({static_cast<int>(told.number("own_fd"))});
}
int give_many(const Targets&) {
  return give(std::vector<int>(kMaxControlFds, STDIN_FILENO));
}

constexpr Attempt kAttempts[] = {
    {"write_requests", "write into the requests", "channel", write_requests},
    {"unprotect_requests", "mprotect the requests to be writable", "channel", unprotect_requests},
    {"shrink_channel", "ftruncate the channel's memory", "channel", shrink_channel},
    {"give_socket", "SCM_RIGHTS: the control socket through itself", "supervisor", give_socket},
    {"give_file", "SCM_RIGHTS: a file", "supervisor", give_file},
    {"give_many", "SCM_RIGHTS: as many as there can be", "supervisor", give_many},
};

}  // namespace

std::span<const Attempt> attempts_on_channel() {
  return kAttempts;
}

}  // namespace bulkhead::test
