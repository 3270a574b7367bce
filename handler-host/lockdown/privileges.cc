#include "handler-host/lockdown/privileges.h"

#include <cap-ng.h>
#include <fmt/format.h>
#include <grp.h>
#include <sched.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cerrno>

namespace bulkhead::host {
namespace {

// Needs CAP_SETPCAP, so it comes before the others are gone; without it there is nothing to drop from.
Result<> empty_bounding_and_ambient() {
  if (::capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP) == 0) return {};
  ::capng_clear(CAPNG_SELECT_BOUNDS);
  if (const int result = ::capng_apply(CAPNG_SELECT_BOUNDS); result != 0)
    return fail(Cause::Denied, EPERM,
                fmt::format("empty the capability bounding set (libcap-ng says {})", result));
  ::capng_clear(CAPNG_SELECT_AMBIENT);
  if (const int result = ::capng_apply(CAPNG_SELECT_AMBIENT); result != 0)
    return fail(Cause::Denied, EPERM,
                fmt::format("empty the ambient capability set (libcap-ng says {})", result));
  return {};
}

Result<> become(uid_t uid) {
  if (::getuid() == uid && ::geteuid() == uid) return {};
  if (::setgroups(0, nullptr) != 0) return fail_errno(errno, "drop the supplementary groups");
  if (::setresgid(uid, uid, uid) != 0) return fail_errno(errno, fmt::format("become group {}", uid));
  if (::setresuid(uid, uid, uid) != 0) return fail_errno(errno, fmt::format("become user {}", uid));
  return {};
}

// A user namespace in which no id is mapped: the capabilities it brings are given up at once, and nothing in
// it can ever be anybody. Debian lets an administrator forbid this to whoever has no CAP_SYS_ADMIN
// (kernel.unprivileged_userns_clone), so that one is kept until here. Not before the change of user, for a
// namespace's owner has power over it; not before the new root, for the kernel refuses it to who is chrooted.
void leave_user_namespace(Walls& walls) {
  ::capng_clear(CAPNG_SELECT_CAPS);
  ::capng_update(CAPNG_ADD, static_cast<capng_type_t>(CAPNG_EFFECTIVE | CAPNG_PERMITTED), CAP_SYS_ADMIN);
  ::capng_apply(CAPNG_SELECT_CAPS);  // where we never had it, the kernel's own rule decides
  if (::unshare(CLONE_NEWUSER) == 0)
    walls.stands("user-namespace");
  else
    walls.missing("user-namespace", errno_text(errno));
}

// All of it again in the new namespace, whose creator has every capability in every set but the ambient one.
// Not by libcap-ng, which looks for the number of capabilities in /proc.
Result<> empty_bounding_here() {
  for (int capability = 0; ::prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; ++capability)
    if (::prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0)
      return fail_errno(errno, "empty the capability bounding set of the user namespace");
  return {};
}

Result<> become_in_own_namespace(uid_t uid, Walls& walls) {
  if (::prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0) return fail_errno(errno, "keep capabilities for a moment");
  if (auto done = become(uid); !done) return done;
  leave_user_namespace(walls);
  ::prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0);
  return walls.state("user-namespace") == "on" ? empty_bounding_here() : Result<>();
}

Result<> empty_own_sets() {
  ::capng_clear(CAPNG_SELECT_CAPS);
  if (const int result = ::capng_apply(CAPNG_SELECT_CAPS); result != 0)
    return fail(Cause::Denied, EPERM, fmt::format("give up the capabilities (libcap-ng says {})", result));
  return {};
}

Result<> check_gone(std::optional<uid_t> uid) {
  if (::capng_get_caps_process() != 0) return fail(Cause::Backend, EIO, "read back the capabilities");
  if (::capng_have_capabilities(CAPNG_SELECT_CAPS) != CAPNG_NONE)
    return fail(Cause::Denied, EPERM, "capabilities are left after giving them up");
  if (uid && *uid != 0 && ::setresuid(0, 0, 0) == 0)
    return fail(Cause::Denied, EPERM, fmt::format("user {} could become root again", *uid));
  return {};
}

}  // namespace

Result<> drop_privileges(std::optional<uid_t> uid, Walls& walls) {
  if (::capng_get_caps_process() != 0) return fail(Cause::Backend, EIO, "read the capabilities");
  if (auto done = empty_bounding_and_ambient(); !done) return done;
  if (uid)
    if (auto done = become_in_own_namespace(*uid, walls); !done) return done;
  if (auto done = empty_own_sets(); !done) return done;
  if (auto done = check_gone(uid); !done) return done;
  if (uid) walls.stands("user");
  walls.stands("capabilities");
  return {};
}

}  // namespace bulkhead::host
