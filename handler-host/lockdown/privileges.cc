#include "handler-host/lockdown/privileges.h"

#include <cap-ng.h>
#include <fmt/format.h>
#include <grp.h>
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

Result<> drop_privileges(std::optional<uid_t> uid) {
  if (::capng_get_caps_process() != 0) return fail(Cause::Backend, EIO, "read the capabilities");
  if (auto done = empty_bounding_and_ambient(); !done) return done;
  if (uid)
    if (auto done = become(*uid); !done) return done;
  if (auto done = empty_own_sets(); !done) return done;
  return check_gone(uid);
}

}  // namespace bulkhead::host
