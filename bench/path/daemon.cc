#include "bench/path/daemon.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <array>
#include <cerrno>
#include <cstdio>

namespace bulkhead::bench {
namespace {

// A thousand hosts take their time.
constexpr int kStartPatienceMs = 300'000;

[[noreturn]] void be_daemon(const Job& job, const SimulatedKernel& kernel, Serve serve, int ready, int stop) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  const DaemonEnds ends{
      .job = job, .kernel = kernel, .stop = stop, .ready = [ready](const std::vector<pid_t>& hosts) {
        const auto count = static_cast<std::uint32_t>(hosts.size());
        [[maybe_unused]] ssize_t told = ::write(ready, &count, sizeof count);
        told = ::write(ready, hosts.data(), hosts.size() * sizeof(pid_t));
      }};
  const auto served = serve(ends);
  if (!served) fmt::print(stderr, "daemon: {}\n", served.error().what);
  ::_exit(served ? 0 : 1);
}

bool read_all(const UniqueFd& from, void* to, std::size_t bytes) {
  auto* at = static_cast<char*>(to);
  while (bytes > 0) {
    pollfd event{.fd = from.get(), .events = POLLIN, .revents = 0};
    if (::poll(&event, 1, kStartPatienceMs) != 1) return false;
    const ssize_t got = ::read(from.get(), at, bytes);
    if (got <= 0) return false;
    at += got;
    bytes -= static_cast<std::size_t>(got);
  }
  return true;
}

}  // namespace

Result<std::unique_ptr<Daemon>> Daemon::start(const Job& job, Serve serve) {
  auto kernel = SimulatedKernel::create(job);
  if (!kernel) return std::unexpected(std::move(kernel.error()));
  std::array<int, 2> ready{}, stop{};
  if (::pipe2(ready.data(), O_CLOEXEC) != 0 || ::pipe2(stop.data(), O_CLOEXEC) != 0)
    return fail_errno(errno, "pipes to a daemon");
  UniqueFd ready_read(ready[0]), ready_write(ready[1]), stop_read(stop[0]), stop_write(stop[1]);
  const pid_t pid = ::fork();
  if (pid < 0) return fail_errno(errno, "fork a daemon");
  if (pid == 0) {
    stop_write.reset();
    be_daemon(job, **kernel, serve, ready_write.get(), stop_read.get());
  }
  std::unique_ptr<Daemon> daemon(new Daemon(pid, std::move(stop_write), std::move(*kernel)));
  ready_write.reset();
  std::uint32_t hosts = 0;
  if (!read_all(ready_read, &hosts, sizeof hosts))
    return fail(Cause::PeerBroken, EPROTO, "a daemon does not begin to serve");
  daemon->hosts_.resize(hosts);
  if (!read_all(ready_read, daemon->hosts_.data(), hosts * sizeof(pid_t)))
    return fail(Cause::PeerBroken, EPROTO, "a daemon does not tell its hosts");
  return daemon;
}

Daemon::~Daemon() {
  stop_.reset();
  ::waitpid(pid_, nullptr, 0);
}

}  // namespace bulkhead::bench
