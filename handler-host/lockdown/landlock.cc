#include "handler-host/lockdown/landlock.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/landlock.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>

#include "base/unique_fd.h"

namespace bulkhead::host {
namespace {

// As include/uapi/linux/landlock.h has it since Linux 6.12; Debian's headers are older. A kernel takes as
// much of the structure as it knows.
struct RulesetAttributes {
  std::uint64_t handled_access_fs = 0;
  std::uint64_t handled_access_net = 0;  // since version 4
  std::uint64_t scoped = 0;              // since version 6
};

constexpr std::uint64_t kFirstFileRights =
    (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1;                 // version 1 has all up to it
constexpr std::uint64_t kRefer = LANDLOCK_ACCESS_FS_REFER;  // 2
constexpr std::uint64_t kTruncate = 1 << 14;                // 3
constexpr std::uint64_t kBindAndConnectTcp = 3;             // 4
constexpr std::uint64_t kDeviceIoctls = 1 << 15;            // 5
constexpr std::uint64_t kAbstractSocketsAndSignals = 3;     // 6
constexpr std::uint64_t kReadFile = LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE;
constexpr std::uint64_t kReadFolder = kReadFile | LANDLOCK_ACCESS_FS_READ_DIR;

long version_of_kernel() {
  return ::syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
}

RulesetAttributes attributes_for(long version, bool network) {
  RulesetAttributes attributes{.handled_access_fs = kFirstFileRights};
  if (version >= 2) attributes.handled_access_fs |= kRefer;
  if (version >= 3) attributes.handled_access_fs |= kTruncate;
  if (version >= 4 && !network) attributes.handled_access_net = kBindAndConnectTcp;
  if (version >= 5) attributes.handled_access_fs |= kDeviceIoctls;
  if (version >= 6 && !network) attributes.scoped = kAbstractSocketsAndSignals;
  return attributes;
}

std::size_t size_for(long version) {
  if (version < 4) return offsetof(RulesetAttributes, handled_access_net);
  if (version < 6) return offsetof(RulesetAttributes, scoped);
  return sizeof(RulesetAttributes);
}

Result<> allow_reading(const UniqueFd& ruleset, const std::string& path) {
  const UniqueFd place(::open(path.c_str(), O_PATH | O_CLOEXEC));
  if (!place) return fail_errno(errno, fmt::format("open {}", path));
  struct stat facts{};
  if (::fstat(place.get(), &facts) != 0) return fail_errno(errno, fmt::format("look at {}", path));
  landlock_path_beneath_attr rule{};
  rule.allowed_access = S_ISDIR(facts.st_mode) ? kReadFolder : kReadFile;
  rule.parent_fd = place.get();
  if (::syscall(SYS_landlock_add_rule, ruleset.get(), LANDLOCK_RULE_PATH_BENEATH, &rule, 0) != 0)
    return fail_errno(errno, fmt::format("allow reading {}", path));
  return {};
}

}  // namespace

Result<> restrict_by_landlock(const LandlockRules& rules) {
  const long version = version_of_kernel();
  if (version < 1)
    return fail(Cause::NotFound, errno,
                errno == EOPNOTSUPP ? "switched off at boot (lsm=)" : "not in this kernel");
  const RulesetAttributes attributes = attributes_for(version, rules.network);
  const UniqueFd ruleset(
      static_cast<int>(::syscall(SYS_landlock_create_ruleset, &attributes, size_for(version), 0)));
  if (!ruleset) return fail_errno(errno, "make a ruleset");
  for (const std::string& path : rules.readable)
    if (auto done = allow_reading(ruleset, path); !done) return done;
  if (::syscall(SYS_landlock_restrict_self, ruleset.get(), 0) != 0)
    return fail_errno(errno, "enforce the ruleset");
  return {};
}

}  // namespace bulkhead::host
