// A handler-host that leaves walls out, as /etc/tcmu-escape says: names of walls, separated by blanks. For
// the guest's scenario escape, which proves with it that what stops an attempt is that wall.
//
// It is the program as it is, lock-down and all; but of the system calls that raise a wall some are answered
// here, and never reach the kernel (the linker's --wrap, see BUILD).
#include <cap-ng.h>
#include <seccomp.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/types.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

namespace {

// Read before the first wall is up.
const std::vector<std::string> left_out = [] {
  std::vector<std::string> names;
  std::ifstream file("/etc/tcmu-escape");
  for (std::string name; file >> name;) names.push_back(name);
  return names;
}();

bool without(std::string_view wall) {
  return std::ranges::find(left_out, wall) != left_out.end();
}

int refuse() {
  errno = EPERM;
  return -1;
}

struct Namespace {
  int flag;
  std::string_view wall;
};
constexpr Namespace kNamespaces[] = {
    {CLONE_NEWNS, "mount-namespace"},    {CLONE_NEWIPC, "ipc-namespace"},
    {CLONE_NEWUTS, "uts-namespace"},     {CLONE_NEWCGROUP, "cgroup-namespace"},
    {CLONE_NEWNET, "network-namespace"}, {CLONE_NEWUSER, "user-namespace"}};

}  // namespace

// The linker gives these names.
// NOLINTBEGIN(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp)
extern "C" {

// For walls that stand in a handler (own_ring.cc), which is loaded when there is no such file any more.
bool tcmu_wall_left_out(const char* wall) {
  return without(wall);
}

int __real_unshare(int flags);
int __wrap_unshare(int flags) {
  for (const Namespace& one : kNamespaces)
    if (flags == one.flag && without(one.wall)) return refuse();
  return __real_unshare(flags);
}

int __real_mount(const char* what, const char* where, const char* type, unsigned long flags,
                 const void* data);
int __wrap_mount(const char* what, const char* where, const char* type, unsigned long flags,
                 const void* data) {
  return without("root") ? refuse() : __real_mount(what, where, type, flags, data);
}

long __real_syscall(long number, long a, long b, long c, long d, long e, long f);
long __wrap_syscall(long number, long a, long b, long c, long d, long e, long f) {
  if (number == SYS_landlock_restrict_self && without("landlock")) return refuse();
  return __real_syscall(number, a, b, c, d, e, f);
}

int __real_seccomp_load(scmp_filter_ctx context);
int __wrap_seccomp_load(scmp_filter_ctx context) {
  return without("seccomp") ? -EPERM : __real_seccomp_load(context);
}

int __real_prctl(int what, unsigned long a, unsigned long b, unsigned long c, unsigned long d);
int __wrap_prctl(int what, unsigned long a, unsigned long b, unsigned long c, unsigned long d) {
  if (what == PR_SET_NO_NEW_PRIVS && without("no-new-privileges")) return 0;
  // What changes its user has become so already.
  if (what == PR_SET_DUMPABLE && without("dumpable")) return __real_prctl(what, 1, 0, 0, 0);
  // Without this the kernel takes them away from whoever ceases to be root: wall user has done that.
  if ((what == PR_SET_KEEPCAPS || what == PR_CAPBSET_DROP) && without("capabilities")) return 0;
  return __real_prctl(what, a, b, c, d);
}

int __real_setrlimit(__rlimit_resource resource, const rlimit* limit);
int __wrap_setrlimit(__rlimit_resource resource, const rlimit* limit) {
  return resource != RLIMIT_MEMLOCK && without("limits") ? 0 : __real_setrlimit(resource, limit);
}

int __real_setgroups(std::size_t count, const gid_t* groups);
int __wrap_setgroups(std::size_t count, const gid_t* groups) {
  return without("user") ? 0 : __real_setgroups(count, groups);
}
int __real_setresgid(gid_t real, gid_t effective, gid_t saved);
int __wrap_setresgid(gid_t real, gid_t effective, gid_t saved) {
  return without("user") ? 0 : __real_setresgid(real, effective, saved);
}
int __real_setresuid(uid_t real, uid_t effective, uid_t saved);
int __wrap_setresuid(uid_t real, uid_t effective, uid_t saved) {
  if (!without("user")) return __real_setresuid(real, effective, saved);
  return real == 0 ? refuse() : 0;  // the lock-down tries whether it could go back
}

int __real_capng_apply(capng_select_t set);
int __wrap_capng_apply(capng_select_t set) {
  return without("capabilities") ? 0 : __real_capng_apply(set);
}
capng_results_t __real_capng_have_capabilities(capng_select_t set);
capng_results_t __wrap_capng_have_capabilities(capng_select_t set) {
  return without("capabilities") ? CAPNG_NONE : __real_capng_have_capabilities(set);
}
}
// NOLINTEND(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp)
