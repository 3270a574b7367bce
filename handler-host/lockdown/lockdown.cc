#include "handler-host/lockdown/lockdown.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "handler-host/lockdown/empty_root.h"
#include "handler-host/lockdown/first_process.h"
#include "handler-host/lockdown/landlock.h"
#include "handler-host/lockdown/limits.h"
#include "handler-host/lockdown/namespaces.h"
#include "handler-host/lockdown/privileges.h"

namespace bulkhead::host {
namespace {

constexpr std::size_t kCommandNameBytes = 15;  // TASK_COMM_LEN without its NUL

void set_command_name(std::string_view visible_name) {
  ::prctl(PR_SET_NAME, command_name(visible_name).c_str(), 0, 0, 0);
}

Result<> close_other_fds(int first) {
  if (::close_range(static_cast<unsigned>(first), ~0u, 0) != 0)
    return fail_errno(errno, "close inherited descriptors");
  return {};
}

Result<> clear_environment() {
  if (::clearenv() != 0) return fail_errno(ENOMEM, "clear the environment");
  return {};
}

// A write to a reader that is gone, or beyond a file's size limit, shall be an error, not a death.
void ignore_signals() {
  ::signal(SIGPIPE, SIG_IGN);
  ::signal(SIGXFSZ, SIG_IGN);
}

// Reclaim for our own allocations must not wait for I/O that we are to serve. Needs CAP_SYS_RESOURCE.
void become_io_flusher() {
  ::prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0);
}

// Pages stay once touched: swapping them in could need this very LUN. Only with an unlimited allowance, else
// every later mmap() would count in full against it and fail.
void lock_memory(bool unlimited) {
  if (unlimited) ::mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT);
}

// What LeakSanitizer asks at the end: without /proc it can look at no thread, and would call that an error.
bool closed_in = false;
}  // namespace
#if defined(__SANITIZE_ADDRESS__)
extern "C" int __lsan_is_turned_off() {
  return closed_in ? 1 : 0;
}
#endif
namespace {

// While there is still the privilege to do so.
void close_in(const LockdownPlan& plan, const std::vector<std::string>& visible, Walls& walls) {
  leave_namespaces(plan.needs.network ? Network::Shared : Network::None, walls);
  if (walls.state("mount-namespace") != "on")
    walls.missing("root", "it needs the mount namespace");
  else if (auto entered = enter_empty_root(visible); !entered)
    walls.missing("root", entered.error().what);
  else {
    walls.stands("root");
    closed_in = true;
  }
}

Result<> forbid_new_privileges() {
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return fail_errno(errno, "set no_new_privs");
  return {};
}

// No core file with initiators' data, no ptrace by our own uid. After the change of uid, which resets it.
Result<> forbid_dumps() {
  if (::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) return fail_errno(errno, "become not dumpable");
  return {};
}

// A sanitizer's run time makes many calls of its own, different ones in each version; what it finds in a host
// is worth more than a filter in a test.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitizer = true;
#else
constexpr bool kSanitizer = false;
#endif

void restrict_files(const LandlockRules& rules, Walls& walls) {
  if (auto done = restrict_by_landlock(rules); !done)
    walls.missing("landlock", done.error().what);
  else
    walls.stands("landlock");
}

Result<> filter(Phase phase, const LockdownPlan& plan, const std::vector<std::string>& visible,
                Walls& walls) {
  if (!plan.filters) return {};
  if (kSanitizer) {
    for (const char* wall : {"landlock", "seccomp"}) walls.missing(wall, "this build has a sanitizer");
    return {};
  }
  // A host that stays who it is (tests) has its libraries anywhere.
  if (phase == Phase::Serve || plan.uid)
    restrict_files({.readable = visible, .network = plan.needs.network}, walls);
  auto done = filter_system_calls(phase, plan.needs);
  if (!done && done.error().cause == Cause::BadInput) return done;  // a manifest's mistake
  if (done)
    walls.stands("seccomp");
  else
    walls.missing("seccomp", done.error().what);
  return {};
}

}  // namespace

std::string command_name(std::string_view visible_name) {
  std::string_view label = visible_name;
  if (const std::size_t colon = label.find(": "); colon != std::string_view::npos)
    label.remove_prefix(colon + 2);
  if (const std::size_t slash = label.rfind('/'); label == visible_name && slash != std::string_view::npos)
    label.remove_prefix(slash + 1);  // a program's path, not a name given by the supervisor
  constexpr std::string_view kPrefix = "tcmu:";
  const std::size_t room = kCommandNameBytes - kPrefix.size();
  if (label.size() > room) label.remove_prefix(label.size() - room);
  return std::string(kPrefix) += label;
}

Result<Walls> lock_down(const LockdownPlan& plan) {
  Walls walls;
  set_command_name(plan.visible_name);
  ignore_signals();
  die_of_signals();
  ::umask(077);
  if (auto done = clear_environment(); !done) return std::unexpected(std::move(done.error()));
  if (auto done = close_other_fds(plan.first_unwanted_fd); !done)
    return std::unexpected(std::move(done.error()));
  // These want privileges in the first user namespace, which go next.
  const bool unlimited = raise_memory_lock_limit();
  lock_memory(unlimited);
  become_io_flusher();
  if (auto done = lower_limits(); !done) return std::unexpected(std::move(done.error()));
  walls.stands("limits");
  const auto visible = visible_paths(plan.readable);
  if (plan.uid) close_in(plan, visible, walls);
  if (auto done = drop_privileges(plan.uid, walls); !done) return std::unexpected(std::move(done.error()));
  if (auto done = forbid_new_privileges(); !done) return std::unexpected(std::move(done.error()));
  walls.stands("no-new-privileges");
  if (auto done = forbid_dumps(); !done) return std::unexpected(std::move(done.error()));
  walls.stands("dumpable");
  // These need no_new_privs and no privilege.
  if (auto done = filter(Phase::Start, plan, visible, walls); !done)
    return std::unexpected(std::move(done.error()));
  if (auto all = walls.check(plan.required); !all) return std::unexpected(std::move(all.error()));
  return walls;
}

Result<> tighten(const LockdownPlan& plan, Walls& walls) {
  if (auto done = filter(Phase::Serve, plan, {}, walls); !done) return done;
  return walls.check(plan.required);
}

}  // namespace bulkhead::host
