#include <fcntl.h>
#include <linux/kcmp.h>
#include <sched.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>

#include "base/unique_fd.h"
#include "test/escape/attempts.h"

namespace bulkhead::test {
namespace {

// Which every process gets over that does not ask for it.
constexpr int kHarmless = SIGURG;

pid_t supervisor(const Targets& told) {
  return static_cast<pid_t>(told.number("supervisor"));
}
pid_t sibling(const Targets& told) {
  return static_cast<pid_t>(told.number("sibling"));
}

int kill_supervisor(const Targets& told) {
  return refusal(::kill(supervisor(told), kHarmless));
}
int kill_supervisor_thread(const Targets& told) {
  return refusal(::syscall(SYS_tgkill, supervisor(told), supervisor(told), kHarmless));
}
int kill_sibling(const Targets& told) {
  return refusal(::kill(sibling(told), kHarmless));
}
int kill_by_descriptor(const Targets& told) {
  const UniqueFd fd(static_cast<int>(::syscall(SYS_pidfd_open, supervisor(told), 0)));
  if (!fd) return errno;
  return refusal(::syscall(SYS_pidfd_send_signal, fd.get(), kHarmless, nullptr, 0));
}
// A socket's owner is signalled whenever something comes.
int signal_by_owner(const Targets& told) {
  const int control = 3;
  if (::fcntl(control, F_SETOWN, supervisor(told)) != 0) return errno;
  return refusal(::fcntl(control, F_SETOWN, 0));
}
int open_sibling(const Targets& told) {
  const UniqueFd fd(static_cast<int>(::syscall(SYS_pidfd_open, sibling(told), 0)));
  return refusal(fd.get());
}
int take_descriptor(const Targets& told) {
  const UniqueFd fd(static_cast<int>(::syscall(SYS_pidfd_open, sibling(told), 0)));
  if (!fd) return errno;
  const UniqueFd taken(static_cast<int>(::syscall(SYS_pidfd_getfd, fd.get(), 0, 0)));
  return refusal(taken.get());
}
// It lets go of it at its own end.
int trace_sibling(const Targets& told) {
  return refusal(::ptrace(PTRACE_SEIZE, sibling(told), nullptr, nullptr));
}
int trace_supervisor(const Targets& told) {
  return refusal(::ptrace(PTRACE_SEIZE, supervisor(told), nullptr, nullptr));
}
int read_sibling(const Targets& told) {
  char byte = 0;
  const iovec here{&byte, 1};
  // NOLINTNEXTLINE(performance-no-int-to-ptr): another process's
  const iovec there{reinterpret_cast<void*>(told.number("sibling_address")), 1};
  return refusal(::process_vm_readv(sibling(told), &here, 1, &there, 1, 0));
}
int compare_sibling(const Targets& told) {
  return refusal(::syscall(SYS_kcmp, ::getpid(), sibling(told), KCMP_FILES, 0, 0));
}
int locks_of_sibling(const Targets& told) {
  void* head = nullptr;
  std::size_t bytes = 0;
  return refusal(::syscall(SYS_get_robust_list, sibling(told), &head, &bytes));
}
int limits_of_sibling(const Targets& told) {
  rlimit now{};
  return refusal(::prlimit(sibling(told), RLIMIT_NOFILE, nullptr, &now));
}
int bind_sibling(const Targets& told) {
  cpu_set_t set;
  std::memset(&set, 0xff, sizeof set);  // all there are
  return refusal(::sched_setaffinity(sibling(told), sizeof set, &set));
}
int slow_sibling(const Targets& told) {
  errno = 0;
  const int now = ::getpriority(PRIO_PROCESS, static_cast<id_t>(sibling(told)));
  if (errno != 0) return errno;
  return refusal(::setpriority(PRIO_PROCESS, static_cast<id_t>(sibling(told)), now));
}
int execute(const Targets&) {
  char name[] = "true";
  char* const arguments[] = {name, nullptr};
  ::execve("/usr/bin/true", arguments, nullptr);
  return errno;
}
// A copy of cat that belongs to root, and a file that only root may read.
int execute_as_root(const Targets& told) {
  char name[] = "cat";
  const std::string secret = told.path("secret");
  std::string path = secret;
  char* const arguments[] = {name, path.data(), nullptr};
  ::execve(told.path("set_user_id_cat"), arguments, nullptr);
  return errno;
}
int make_process(const Targets&) {
  const auto child = static_cast<pid_t>(::syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0));
  if (child < 0) return errno;
  if (child == 0) ::_exit(0);
  return refusal(::waitpid(child, nullptr, 0));
}

constexpr Attempt kAttempts[] = {
    {"kill_supervisor", "signal the supervisor", "seccomp user pid-namespace", kill_supervisor},
    {"kill_supervisor_thread", "tgkill of the supervisor", "user pid-namespace", kill_supervisor_thread},
    {"kill_sibling", "signal another host", "seccomp user capabilities user-namespace pid-namespace",
     kill_sibling},
    {"kill_by_descriptor", "pidfd_send_signal to the supervisor", "seccomp user pid-namespace",
     kill_by_descriptor},
    {"signal_by_owner", "make the supervisor a descriptor's owner", "pid-namespace", signal_by_owner},
    {"open_sibling", "pidfd_open of another host", "seccomp pid-namespace", open_sibling},
    {"take_descriptor", "pidfd_getfd of another host's descriptor",
     "seccomp unit user capabilities user-namespace pid-namespace", take_descriptor},
    {"trace_sibling", "ptrace another host", "seccomp unit user capabilities user-namespace pid-namespace",
     trace_sibling},
    {"trace_supervisor", "ptrace the supervisor",
     "seccomp unit user capabilities user-namespace pid-namespace", trace_supervisor},
    {"read_sibling", "process_vm_readv of another host",
     "seccomp unit user capabilities user-namespace pid-namespace", read_sibling},
    {"compare_sibling", "kcmp with another host",
     "seccomp unit user capabilities user-namespace pid-namespace", compare_sibling},
    {"locks_of_sibling", "get_robust_list of another host",
     "seccomp user capabilities user-namespace pid-namespace", locks_of_sibling},
    {"limits_of_sibling", "prlimit of another host", "seccomp user capabilities user-namespace pid-namespace",
     limits_of_sibling},
    {"bind_sibling", "sched_setaffinity of another host",
     "seccomp unit user capabilities user-namespace pid-namespace", bind_sibling},
    {"slow_sibling", "setpriority of another host",
     "seccomp unit user capabilities user-namespace pid-namespace", slow_sibling},
    {"execute", "execute a program", "seccomp root landlock", execute},
    {"execute_as_root", "execute a set-user-id program that reads root's file",
     "seccomp no-new-privileges root landlock", execute_as_root},
    {"make_process", "fork", "seccomp", make_process},
};

}  // namespace

std::span<const Attempt> attempts_on_processes() {
  return kAttempts;
}

}  // namespace bulkhead::test
