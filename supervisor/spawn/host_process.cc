#include "supervisor/spawn/host_process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <fstream>
#include <utility>
#include <vector>

#include "base/control_socket.h"

namespace bulkhead::supervisor {
namespace {

constexpr int kFirstFreeFd = 16;  // above all numbers the child's descriptors move to
constexpr int kExecFailed = 127;
constexpr int kEndedBySignal = 128;  // plus its number

// Everything the child touches between clone and exec, prepared before: it may call nothing but
// async-signal-safe functions, as other threads may have held any lock when it was cloned.
struct ChildPlan {
  const char* binary;
  char* const* argv;
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
    ::execve(plan.binary, plan.argv, no_environment);
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

// A PID namespace is made together with its first process; whoever is in it is seen and reached from ours as
// before. Where the kernel does not give us one, the host tells that it has none (property Sandbox).
Result<Clone> clone_into(int cgroup_fd, std::uint64_t namespaces) {
  int pidfd = -1;
  clone_args args{};
  args.flags = CLONE_PIDFD | namespaces;
  args.pidfd = reinterpret_cast<std::uintptr_t>(&pidfd);
  args.exit_signal = SIGCHLD;
  if (cgroup_fd >= 0) {
    args.flags |= CLONE_INTO_CGROUP;
    args.cgroup = static_cast<std::uint64_t>(cgroup_fd);
  }
  const long pid = ::syscall(SYS_clone3, &args, sizeof args);
  if (pid < 0 && namespaces != 0 && (errno == EPERM || errno == EINVAL || errno == ENOSPC))
    return clone_into(cgroup_fd, 0);
  if (pid < 0) return fail_errno(errno, "clone3 for a handler-host");
  return Clone{static_cast<pid_t>(pid), UniqueFd(pidfd)};
}

std::string killed_by(int signal) {
  const char* name = ::sigabbrev_np(signal);
  return fmt::format("killed by SIG{}", name != nullptr ? name : "?");
}

// A signal that somebody sends ends the first process of a PID namespace otherwise, so this was its filter;
// but a kernel may have given it no namespace. Which call it was, only the kernel's record tells.
std::string killed_by_filter(pid_t pid) {
  return fmt::format(
      "{}, as by its system call filter: the kernel's audit record of pid {} (type=1326) has the call",
      killed_by(SIGSYS), pid);
}

std::string describe_end(const siginfo_t& info) {
  if (info.si_code == CLD_KILLED && info.si_status == SIGSYS) return killed_by_filter(info.si_pid);
  if (info.si_code != CLD_EXITED)
    return killed_by(info.si_status) + (info.si_code == CLD_DUMPED ? " (core dumped)" : "");
  if (info.si_status == kExecFailed) return "could not be executed (code 127)";
  if (info.si_status > kEndedBySignal && info.si_status < kEndedBySignal + SIGRTMIN)
    return killed_by(info.si_status - kEndedBySignal);
  return fmt::format("exited with code {}", info.si_status);
}

Result<UniqueFd> copy_of(const UniqueFd& fd) {
  UniqueFd copy(::fcntl(fd.get(), F_DUPFD_CLOEXEC, 0));
  if (!copy) return fail_errno(errno, "duplicate a host's descriptor");
  return copy;
}

// Whoever kept it may have changed what we set when we made it.
Result<> make_non_blocking(const UniqueFd& fd) {
  const int flags = ::fcntl(fd.get(), F_GETFL);
  if (flags < 0 || ::fcntl(fd.get(), F_SETFL, flags | O_NONBLOCK) != 0)
    return fail_errno(errno, "adopt a host's descriptor");
  return {};
}

}  // namespace

Result<pid_t> pid_of(const UniqueFd& pidfd) {
  std::ifstream info(fmt::format("/proc/self/fdinfo/{}", pidfd.get()));
  constexpr std::string_view kField = "Pid:\t";
  for (std::string line; std::getline(info, line);) {
    if (!line.starts_with(kField)) continue;
    pid_t pid = 0;
    const char* const end = line.data() + line.size();
    if (std::from_chars(line.data() + kField.size(), end, pid).ptr != end) break;
    if (pid == -1) return fail(Cause::NotFound, ESRCH, "the process has ended");
    if (pid > 0) return pid;
    return fail(Cause::BadInput, EINVAL, "the process is not of our pid namespace");
  }
  return fail(Cause::BadInput, EBADF, "the descriptor is no pidfd");
}

HostProcess::HostProcess(pid_t pid, HostDescriptors descriptors, Parent parent)
    : pid_(pid),
      parent_(parent),
      pidfd_(std::move(descriptors.pidfd)),
      control_(std::move(descriptors.control)),
      stderr_(std::move(descriptors.standard_error)) {}

HostProcess::~HostProcess() {
  if (!pidfd_ || !ours_to_end_) return;
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

  std::vector<std::string> arguments{command.visible_name};
  if (command.uid != 0) arguments.push_back(fmt::format("--uid={}", command.uid));
  arguments.insert(arguments.end(), command.sandbox.begin(), command.sandbox.end());
  std::vector<char*> argv;
  argv.reserve(arguments.size() + 1);
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  const ChildPlan plan{.binary = command.binary.c_str(),
                       .argv = argv.data(),
                       .null_fd = child_null->get(),
                       .stderr_fd = child_stderr->get(),
                       .control_fd = child_control->get()};
  // No handler of ours may run in the child before it has its own mask.
  sigset_t all, before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  auto clone = clone_into(command.cgroup_fd, command.uid != 0 ? CLONE_NEWPID : 0);
  if (clone && clone->pid == 0) become_host(plan);
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (!clone) return std::unexpected(std::move(clone.error()));
  return HostProcess(clone->pid,
                     {.pidfd = std::move(clone->pidfd),
                      .control = std::move((*control)[0]),
                      .standard_error = std::move(stderr_reader)},
                     Parent::Us);
}

Result<HostProcess> HostProcess::adopt(HostDescriptors descriptors) {
  auto pid = pid_of(descriptors.pidfd);
  if (!pid && pid.error().cause != Cause::NotFound) return std::unexpected(std::move(pid.error()));
  for (const UniqueFd* fd : {&descriptors.control, &descriptors.standard_error})
    if (auto done = make_non_blocking(*fd); !done) return std::unexpected(std::move(done.error()));
  return HostProcess(pid.value_or(0), std::move(descriptors), Parent::Init);
}

Result<HostDescriptors> HostProcess::duplicate() const {
  HostDescriptors copies;
  for (auto [from, to] : {std::pair(&pidfd_, &copies.pidfd), std::pair(&control_, &copies.control),
                          std::pair(&stderr_, &copies.standard_error)}) {
    auto copy = copy_of(*from);
    if (!copy) return std::unexpected(std::move(copy.error()));
    *to = std::move(*copy);
  }
  return copies;
}

void HostProcess::kill() const {
  ::syscall(SYS_pidfd_send_signal, pidfd_.get(), SIGKILL, nullptr, 0);
}

std::optional<std::string> HostProcess::reap() {
  if (parent_ == Parent::Init) {
    pollfd end{.fd = pidfd_.get(), .events = POLLIN, .revents = 0};
    if (::poll(&end, 1, 0) != 1) return std::nullopt;
    return "ended; how is unknown, as an earlier supervisor had started it";
  }
  siginfo_t info{};
  if (::waitid(P_PIDFD, static_cast<id_t>(pidfd_.get()), &info, WEXITED | WNOHANG) != 0)
    return errno == ECHILD ? std::optional<std::string>("ended, unseen") : std::nullopt;
  if (info.si_pid == 0) return std::nullopt;
  return describe_end(info);
}

}  // namespace bulkhead::supervisor
