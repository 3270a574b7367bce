#include "supervisor/spawn/cgroups.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <fstream>

namespace bulkhead::supervisor {
namespace {

constexpr std::string_view kMount = "/sys/fs/cgroup";

// Path of our own cgroup in the unified hierarchy; empty if there is none.
std::string own_folder() {
  std::ifstream file("/proc/self/cgroup");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("0::")) return std::string(kMount) + line.substr(3);
  return {};
}

// systemd marks what it delegates (since 249 in user.delegate, before in trusted.delegate).
bool is_delegated(const std::string& folder) {
  char value = 0;
  for (const char* name : {"user.delegate", "trusted.delegate"})
    if (::getxattr(folder.c_str(), name, &value, 1) == 1 && value == '1') return true;
  return false;
}

constexpr std::chrono::seconds kKillPatience{5};

bool populated(const UniqueFd& events) {
  char text[256];
  const ssize_t got = ::pread(events.get(), text, sizeof text, 0);
  return got > 0 &&
         std::string_view(text, static_cast<std::size_t>(got)).find("populated 1") != std::string_view::npos;
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

std::string Cgroups::leaf_in_proc(std::string_view name) const {
  if (!delegated()) return {};
  return fmt::format("{}/host-{}", folder_.substr(kMount.size()), name);
}

Result<> Cgroups::end_processes(std::string_view name) const {
  if (!delegated()) return {};
  const std::string path = fmt::format("{}/host-{}", folder_, name);
  const UniqueFd events(::open((path + "/cgroup.events").c_str(), O_RDONLY | O_CLOEXEC));
  if (!events)
    return errno == ENOENT ? Result<>() : fail_errno(errno, fmt::format("open {}/cgroup.events", path));
  if (!populated(events)) return {};
  const UniqueFd kill(::open((path + "/cgroup.kill").c_str(), O_WRONLY | O_CLOEXEC));
  if (!kill || ::write(kill.get(), "1", 1) != 1)
    return fail_errno(errno, fmt::format("write {}/cgroup.kill", path));
  const auto deadline = std::chrono::steady_clock::now() + kKillPatience;
  while (populated(events)) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now()).count();
    if (left <= 0)
      return fail(
          Cause::Busy, EBUSY,
          fmt::format("an earlier handler-host in {} can't be killed; its storage does not answer", path));
    pollfd change{.fd = events.get(), .events = POLLPRI, .revents = 0};
    ::poll(&change, 1, static_cast<int>(left));
  }
  return {};
}

void Cgroups::remove_leaf(std::string_view name) const {
  if (delegated()) ::rmdir(fmt::format("{}/host-{}", folder_, name).c_str());
}

}  // namespace bulkhead::supervisor
