#include "supervisor/spawn/cgroups.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>

namespace bulkhead::supervisor {
namespace {

// Path of our own cgroup in the unified hierarchy; empty if there is none.
std::string own_folder() {
  std::ifstream file("/proc/self/cgroup");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("0::")) return "/sys/fs/cgroup" + line.substr(3);
  return {};
}

// systemd marks what it delegates (since 249 in user.delegate, before in trusted.delegate).
bool is_delegated(const std::string& folder) {
  char value = 0;
  for (const char* name : {"user.delegate", "trusted.delegate"})
    if (::getxattr(folder.c_str(), name, &value, 1) == 1 && value == '1') return true;
  return false;
}

}  // namespace

Result<Cgroups> Cgroups::prepare() {
  const std::string folder = own_folder();
  if (folder.empty() || !is_delegated(folder)) return Cgroups({});
  // A cgroup with children may hold no process itself once controllers are switched on below it.
  const std::string own = folder + "/supervisor";
  if (::mkdir(own.c_str(), 0755) != 0 && errno != EEXIST)
    return fail_errno(errno, fmt::format("mkdir {}", own));
  UniqueFd procs(::open((own + "/cgroup.procs").c_str(), O_WRONLY | O_CLOEXEC));
  if (!procs || ::write(procs.get(), "0", 1) != 1)
    return fail_errno(errno, fmt::format("move to cgroup {}", own));
  return Cgroups(folder);
}

Result<UniqueFd> Cgroups::leaf(std::string_view name) const {
  if (!delegated()) return UniqueFd();
  const std::string path = fmt::format("{}/host-{}", folder_, name);
  if (::mkdir(path.c_str(), 0755) != 0 && errno != EEXIST)
    return fail_errno(errno, fmt::format("mkdir {}", path));
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return fail_errno(errno, fmt::format("open {}", path));
  return fd;
}

void Cgroups::remove_leaf(std::string_view name) const {
  if (delegated()) ::rmdir(fmt::format("{}/host-{}", folder_, name).c_str());
}

}  // namespace bulkhead::supervisor
