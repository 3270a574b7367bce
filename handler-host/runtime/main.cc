// tcmu-handler-host: one process per LUN. Started by tcmu-supervisor with
//   fd 0, 1  /dev/null        fd 2  a pipe or /dev/null        fd 3  the control socket
//   argv[0]  the name to be seen by, e.g. "tcmu-host: file/d0"   the rest: arguments.h
#include <fcntl.h>
#include <fmt/format.h>
#include <malloc.h>
#include <sys/socket.h>

#include <cstddef>
#include <span>
#include <utility>

#include "handler-host/lockdown/lockdown.h"
#include "handler-host/runtime/arguments.h"
#include "handler-host/runtime/event_loop.h"
#include "handler-host/runtime/exit_code.h"
#include "handler-host/runtime/host.h"

namespace {

using namespace bulkhead;
using namespace bulkhead::host;

constexpr int kControlFd = 3;

// There are up to hundreds of hosts: one heap, given back when it shrinks.
void keep_memory_small() {
  ::mallopt(M_ARENA_MAX, 1);
  ::mallopt(M_TRIM_THRESHOLD, 64 * 1024);
  ::mallopt(M_MMAP_THRESHOLD, 64 * 1024);
}

bool is_control_socket(int fd) {
  int type = 0;
  socklen_t bytes = sizeof type;
  return ::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &bytes) == 0 && type == SOCK_SEQPACKET;
}

UniqueFd take_control_socket() {
  const int flags = ::fcntl(kControlFd, F_GETFL);
  ::fcntl(kControlFd, F_SETFL, flags | O_NONBLOCK);
  ::fcntl(kControlFd, F_SETFD, FD_CLOEXEC);
  return UniqueFd(kControlFd);
}

}  // namespace

int main(int argc, char** argv) {
  const auto arguments = parse_arguments(std::span<const char* const>(argv, static_cast<std::size_t>(argc)));
  if (!arguments) end_process(ExitCode::Usage, arguments.error().what);
  if (!is_control_socket(kControlFd))
    end_process(ExitCode::Usage,
                "descriptor 3 is no control socket: this program is started by tcmu-supervisor, one "
                "process for each LUN, not by hand");
  LockdownPlan plan{.uid = arguments->uid,
                    .visible_name = std::string(arguments->visible_name),
                    .first_unwanted_fd = kControlFd + 1,
                    .needs = {.network = arguments->network,
                              .threads = arguments->threads,
                              .syscalls = arguments->syscalls},
                    .readable = arguments->paths,
                    .required = arguments->required};
  auto walls = lock_down(plan);
  if (!walls) end_process(ExitCode::LockdownFailed, fmt::format("lock-down: {}", walls.error().what));
  keep_memory_small();
  auto loop = EventLoop::create();
  if (!loop) end_process(ExitCode::SystemRefused, loop.error().what);
  Host host(std::move(*loop), take_control_socket(), std::move(plan), std::move(*walls),
            arguments->busy_poll);
  return static_cast<int>(host.run());
}
