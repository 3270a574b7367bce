#include "supervisor/lockdown/capabilities.h"

#include <cap-ng.h>
#include <fmt/format.h>

#include <cerrno>

namespace bulkhead::supervisor {
namespace {

constexpr unsigned kKept[] = {
    CAP_NET_ADMIN,     // the kernel's events, and answers to them
    CAP_DAC_OVERRIDE,  // files of anybody, for hosts that can open none
    CAP_KILL,          // ends hosts, which are of other users
    CAP_SYS_PTRACE,    // which namespaces a host is in; where in the kernel a hung one waits, together with
    CAP_SYS_ADMIN,     // which is also for namespaces and roots of hosts, until they have given it up
    CAP_SETUID,        // so are these three
    CAP_SETGID,       CAP_SETPCAP,
};
constexpr auto kNotAmbient =
    static_cast<capng_type_t>(CAPNG_EFFECTIVE | CAPNG_PERMITTED | CAPNG_BOUNDING_SET);

Result<> apply(capng_select_t what, const char* named) {
  if (const int result = ::capng_apply(what); result != 0)
    return fail(Cause::Denied, EPERM, fmt::format("give up {} (libcap-ng says {})", named, result));
  return {};
}

}  // namespace

Result<> drop_capabilities() {
  if (::capng_get_caps_process() != 0) return fail(Cause::Backend, EIO, "read the capabilities");
  unsigned ours = 0;  // a bit for each of kKept
  for (unsigned i = 0; i < std::size(kKept); ++i)
    if (::capng_have_capability(CAPNG_PERMITTED, kKept[i]) != 0) ours |= 1U << i;
  const bool may_drop_bounds = ::capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP) != 0;
  ::capng_clear(CAPNG_SELECT_ALL);
  for (unsigned i = 0; i < std::size(kKept); ++i)
    if ((ours >> i & 1) != 0) ::capng_update(CAPNG_ADD, kNotAmbient, kKept[i]);
  // Without CAP_SETPCAP (some container) nothing can be taken from the bounding set.
  if (may_drop_bounds)
    if (auto done = apply(CAPNG_SELECT_BOUNDS, "capabilities in the bounding set"); !done) return done;
  if (auto done = apply(CAPNG_SELECT_AMBIENT, "the ambient capabilities"); !done) return done;
  return apply(CAPNG_SELECT_CAPS, "capabilities");
}

}  // namespace bulkhead::supervisor
