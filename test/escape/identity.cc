#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>

#include "test/escape/attempts.h"

namespace bulkhead::test {
namespace {

int become_root(const Targets&) {
  return refusal(::setresuid(0, 0, 0));
}
int become_other(const Targets& told) {
  const auto uid = static_cast<uid_t>(told.number("sibling_uid"));
  return refusal(::setresuid(uid, uid, uid));
}
int join_group(const Targets&) {
  const gid_t disk = 6;
  return refusal(::setgroups(1, &disk));
}
int take_capabilities(const Targets&) {
  __user_cap_header_struct head{_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, 2> sets{};
  constexpr unsigned kAdmin = 1U << CAP_SYS_ADMIN;
  sets[0] = {kAdmin, kAdmin, kAdmin};
  return refusal(::syscall(SYS_capset, &head, sets.data()));
}
int become_dumpable(const Targets&) {
  return refusal(::prctl(PR_SET_DUMPABLE, 1, 0, 0, 0));
}
int read_own_memory(const Targets&) {
  return refusal(::open("/proc/self/mem", O_RDWR | O_CLOEXEC));
}
int run_first(const Targets&) {
  const sched_param most{1};
  return refusal(::sched_setscheduler(0, SCHED_FIFO, &most));
}
int be_nicer(const Targets&) {
  return refusal(::setpriority(PRIO_PROCESS, 0, -10));
}
int read_first(const Targets&) {
  // linux/ioprio.h of newer packages is no C++: it calls a parameter "class".
  constexpr int kOfProcess = 1, kRealtimeClass = 1 << 13;
  return refusal(::syscall(SYS_ioprio_set, kOfProcess, 0, kRealtimeClass));
}
int raise_limit(const Targets&) {
  const rlimit most{50, 50};
  return refusal(::setrlimit(RLIMIT_RTPRIO, &most));
}
// Whoever opens it next waits for us.
int lease_file(const Targets& told) {
  const int fd = static_cast<int>(told.number("own_fd"));
  if (::fcntl(fd, F_SETLEASE, F_WRLCK) != 0) return errno;
  return refusal(::fcntl(fd, F_SETLEASE, F_UNLCK));
}

constexpr const char* kPrivileged = "seccomp user capabilities user-namespace";
constexpr const char* kNice = "seccomp unit user capabilities user-namespace";
constexpr Attempt kAttempts[] = {
    {"become_root", "setresuid to root", "seccomp user user-namespace", become_root},
    {"become_other", "setresuid to another host's user", kPrivileged, become_other},
    {"join_group", "setgroups", kPrivileged, join_group},
    {"take_capabilities", "capset", "seccomp user capabilities", take_capabilities},
    {"become_dumpable", "prctl: become dumpable", "seccomp", become_dumpable},
    {"read_own_memory", "open its own /proc/self/mem", "seccomp dumpable root landlock", read_own_memory},
    {"run_first", "real-time scheduling", kNice, run_first},
    {"be_nicer", "a negative nice value", kNice, be_nicer},
    {"read_first", "real-time I/O priority", kNice, read_first},
    {"raise_limit", "raise a resource limit", kPrivileged, raise_limit},
    {"lease_file", "a lease on an open file", "user", lease_file},
};

}  // namespace

std::span<const Attempt> attempts_on_identity() {
  return kAttempts;
}

}  // namespace bulkhead::test
