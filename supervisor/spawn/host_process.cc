#include "supervisor/spawn/host_process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/sched.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "base/control_socket.h"

namespace bulkhead::supervisor {
namespace {

constexpr int kFirstFreeFd = 16;  // above all numbers the child's descriptors move to
constexpr int kExecFailed = 127;

// Everything the child touches between clone and exec, prepared before: it may call nothing but
// async-signal-safe functions, as other threads may have held any lock when it was cloned.
struct ChildPlan {
  const char* binary;
  std::array<char*, 3> argv;
  int null_fd;
  int stderr_fd;
  int control_fd;
};

// A host can be replaced, we can't: when memory runs out it is the better victim.
void give_up_oom_protection() {
  const int fd = ::open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
  [[maybe_unused]] const ssize_t written = ::write(fd, "0", 1);
  ::close(fd);
}

[[noreturn]] void become_host(const ChildPlan& plan) {
  ::setpgid(0, 0);
  give_up_oom_protection();
  // exec keeps ignored signals and the mask.
  for (int number : {SIGPIPE, SIGHUP, SIGINT, SIGTERM, SIGCHLD}) ::signal(number, SIG_DFL);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  if (::dup2(plan.null_fd, 0) >= 0 && ::dup2(plan.null_fd, 1) >= 0 && ::dup2(plan.stderr_fd, 2) >= 0 &&
      ::dup2(plan.control_fd, 3) >= 0 && ::close_range(4, ~0U, 0) == 0) {
    char* const no_environment[] = {nullptr};
    ::execve(plan.binary, plan.argv.data(), no_environment);
  }
  ::_exit(kExecFailed);
}

// A copy of `fd` with a number that the child's dup2 calls can't hit.
Result<UniqueFd> out_of_the_way(int fd) {
  UniqueFd copy(::fcntl(fd, F_DUPFD_CLOEXEC, kFirstFreeFd));
  if (!copy) return fail_errno(errno, "duplicate a descriptor for a host");
  return copy;
}

struct Clone {
  pid_t pid;
  UniqueFd pidfd;
};

Result<Clone> clone_into(int cgroup_fd) {
  int pidfd = -1;
  clone_args args{};
  args.flags = CLONE_PIDFD;
  args.pidfd = reinterpret_cast<std::uintptr_t>(&pidfd);
  args.exit_signal = SIGCHLD;
  if (cgroup_fd >= 0) {
    args.flags |= CLONE_INTO_CGROUP;
    args.cgroup = static_cast<std::uint64_t>(cgroup_fd);
  }
  const long pid = ::syscall(SYS_clone3, &args, sizeof args);
  if (pid < 0) return fail_errno(errno, "clone3 for a handler-host");
  return Clone{static_cast<pid_t>(pid), UniqueFd(pidfd)};
}

std::string describe_end(const siginfo_t& info) {
  if (info.si_code == CLD_EXITED) {
    if (info.si_status == kExecFailed) return "could not be executed (code 127)";
    return fmt::format("exited with code {}", info.si_status);
  }
  const char* name = ::sigabbrev_np(info.si_status);
  return fmt::format("killed by SIG{}{}", name != nullptr ? name : "?",
                     info.si_code == CLD_DUMPED ? " (core dumped)" : "");
}

}  // namespace

HostProcess::HostProcess(pid_t pid, UniqueFd pidfd, UniqueFd control, UniqueFd standard_error)
    : pid_(pid), pidfd_(std::move(pidfd)), control_(std::move(control)), stderr_(std::move(standard_error)) {}

HostProcess::~HostProcess() {
  if (!pidfd_) return;
  kill();
  (void)reap();
}

Result<HostProcess> HostProcess::start(const HostCommand& command) {
  if (::access(command.binary.c_str(), X_OK) != 0)
    return fail_errno(errno,
                      fmt::format("handler-host {}: is the package installed completely?", command.binary));
  auto control = make_control_pair();
  if (!control) return std::unexpected(std::move(control.error()));
  int pipe_ends[2];
  if (::pipe2(pipe_ends, O_CLOEXEC | O_NONBLOCK) != 0)
    return fail_errno(errno, "make a pipe for a host's stderr");
  UniqueFd stderr_reader(pipe_ends[0]), stderr_writer(pipe_ends[1]);
  UniqueFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!null) return fail_errno(errno, "open /dev/null");
  auto child_null = out_of_the_way(null.get());
  auto child_stderr = out_of_the_way(stderr_writer.get());
  auto child_control = out_of_the_way((*control)[1].get());
  if (!child_null) return std::unexpected(std::move(child_null.error()));
  if (!child_stderr) return std::unexpected(std::move(child_stderr.error()));
  if (!child_control) return std::unexpected(std::move(child_control.error()));

  std::string name = command.visible_name;
  std::string uid = fmt::format("--uid={}", command.uid);
  const ChildPlan plan{.binary = command.binary.c_str(),
                       .argv = {name.data(), command.uid != 0 ? uid.data() : nullptr, nullptr},
                       .null_fd = child_null->get(),
                       .stderr_fd = child_stderr->get(),
                       .control_fd = child_control->get()};
  // No handler of ours may run in the child before it has its own mask.
  sigset_t all, before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  auto clone = clone_into(command.cgroup_fd);
  if (clone && clone->pid == 0) become_host(plan);
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (!clone) return std::unexpected(std::move(clone.error()));
  return HostProcess(clone->pid, std::move(clone->pidfd), std::move((*control)[0]), std::move(stderr_reader));
}

void HostProcess::kill() const {
  ::syscall(SYS_pidfd_send_signal, pidfd_.get(), SIGKILL, nullptr, 0);
}

std::optional<std::string> HostProcess::reap() {
  siginfo_t info{};
  if (::waitid(P_PIDFD, static_cast<id_t>(pidfd_.get()), &info, WEXITED | WNOHANG) != 0)
    return errno == ECHILD ? std::optional<std::string>("ended, unseen") : std::nullopt;
  if (info.si_pid == 0) return std::nullopt;
  return describe_end(info);
}

}  // namespace bulkhead::supervisor
