#include "supervisor/broker/policy_open.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>

#include "base/printable.h"

namespace bulkhead::supervisor {
namespace {

// What is left of `path` beneath `root`, "." for the root itself; nullopt: it is not beneath. "..": the
// kernel sees to those.
std::optional<std::string> beneath(const std::string& root, const std::string& path) {
  if (!path.starts_with(root) || (path.size() > root.size() && path[root.size()] != '/')) return std::nullopt;
  const auto rest = path.find_first_not_of('/', root.size());
  return rest == std::string::npos ? "." : path.substr(rest);
}

Result<UniqueFd> open_at(int folder, const std::string& name, std::uint64_t flags, std::uint64_t resolve,
                         const std::string& path) {
  open_how how{
      .flags = flags | O_CLOEXEC, .mode = 0, .resolve = std::uint64_t{RESOLVE_NO_MAGICLINKS} | resolve};
  UniqueFd fd(static_cast<int>(::syscall(SYS_openat2, folder, name.c_str(), &how, sizeof how)));
  if (fd) return fd;
  if (errno == ELOOP && (resolve & RESOLVE_NO_SYMLINKS) != 0)
    return fail(
        Cause::Denied, ELOOP,
        fmt::format("{} is reached by a symbolic link, which file_symlinks in tcmu.conf refuses: name the "
                    "file itself",
                    printable(path)));
  return fail_errno(errno, printable(path));
}

}  // namespace

Result<UniqueFd> open_by_policy(const FilePolicy& policy, const std::string& path, std::uint64_t flags) {
  const std::uint64_t links = policy.symlinks == Symlinks::Refuse ? RESOLVE_NO_SYMLINKS : 0;
  if (!policy.roots || std::ranges::find(*policy.roots, "/") != policy.roots->end())
    return open_at(AT_FDCWD, path, flags, links, path);
  bool led_out = false;
  for (const std::string& root : *policy.roots) {
    const auto name = beneath(root, path);
    if (!name) continue;
    const UniqueFd folder(::open(root.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!folder) return fail_errno(errno, fmt::format("open {}, one of file_roots in tcmu.conf", root));
    auto fd = open_at(folder.get(), *name, flags, RESOLVE_BENEATH | links, path);
    if (fd || fd.error().sys_errno != EXDEV) return fd;
    led_out = true;
  }
  return fail(
      Cause::Denied, EXDEV,
      fmt::format("{} {}; file_roots in tcmu.conf allows: {}", printable(path),
                  led_out ? "leads out of its folder, by .. or by a link that is absolute or goes above"
                          : "is in no folder from which files may be opened",
                  policy.roots->empty() ? "none" : printable(fmt::to_string(fmt::join(*policy.roots, ":")))));
}

}  // namespace bulkhead::supervisor
