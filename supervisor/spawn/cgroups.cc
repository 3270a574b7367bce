#include "supervisor/spawn/cgroups.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <chrono>
#include <fstream>

namespace bulkhead::supervisor {
namespace {

constexpr std::string_view kMount = "/sys/fs/cgroup";
constexpr std::string_view kHosts = "/tcmu-hosts.service";
constexpr std::chrono::seconds kKillPatience{5};

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

Result<> write_file(const std::string& path, std::string_view text) {
  const UniqueFd file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!file || ::write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()))
    return fail_errno(errno, fmt::format("write {}", path));
  return {};
}

bool populated(const UniqueFd& events) {
  char text[256];
  const ssize_t got = ::pread(events.get(), text, sizeof text, 0);
  return got > 0 &&
         std::string_view(text, static_cast<std::size_t>(got)).find("populated 1") != std::string_view::npos;
}

std::uint64_t count_in(const std::string& path, std::string_view name) {
  std::ifstream file(path);
  std::uint64_t count = 0;
  for (std::string word; file >> word >> count;)
    if (word == name) return count;
  return 0;
}

std::string number_or_max(std::uint64_t number) {
  return number == 0 ? "max" : fmt::to_string(number);
}

std::string state_of(const Result<>& written, std::string on) {
  if (written) return on;
  // Controllers that are missing have no files.
  return written.error().sys_errno == ENOENT ? "missing: no such controller for hosts here"
                                             : "off: " + written.error().what;
}

// Told only where it is asked for: it is a place, no limit.
void place(Walls& walls, const char* name, const std::string& file, const std::string& list) {
  const auto written = write_file(file, list + '\n');  // nothing at all would not be written
  if (!list.empty()) walls[name] = state_of(written, "on: " + list);
}

Walls set_limits(const std::string& leaf, const HostLimits& limits) {
  Walls walls;
  // One that is killed in part is of no use; and what is swapped out is not bounded.
  [[maybe_unused]] auto tried = write_file(leaf + "/memory.oom.group", "1");
  tried = write_file(leaf + "/memory.swap.max", limits.memory_bytes == 0 ? "max" : "0");
  const auto memory = write_file(leaf + "/memory.max", number_or_max(limits.memory_bytes));
  const auto processes = write_file(leaf + "/pids.max", number_or_max(limits.processes));
  walls["memory-limit"] = state_of(
      memory, limits.memory_bytes == 0 ? "not asked" : fmt::format("on: {} MiB", limits.memory_bytes >> 20));
  walls["process-limit"] =
      state_of(processes, limits.processes == 0 ? "not asked" : fmt::format("on: {}", limits.processes));
  const auto cpu = write_file(leaf + "/cpu.weight", fmt::to_string(limits.cpu_weight));
  const auto io = write_file(leaf + "/io.weight", fmt::to_string(limits.io_weight));
  walls["cpu-weight"] = state_of(cpu, fmt::format("on: {}", limits.cpu_weight));
  walls["io-weight"] = state_of(io, fmt::format("on: {}", limits.io_weight));
  place(walls, "cpus", leaf + "/cpuset.cpus", limits.cpus);
  place(walls, "memory-nodes", leaf + "/cpuset.mems", limits.memory_nodes);
  return walls;
}

}  // namespace

Result<Cgroups> Cgroups::prepare() {
  const std::string own = own_folder();
  if (own.empty()) return Cgroups({});
  const std::string hosts = own.substr(0, own.rfind('/')).append(kHosts);
  if (is_delegated(hosts)) return Cgroups(hosts);
  if (!is_delegated(own)) return Cgroups({});
  // Hosts must not be in the way when systemd looks for processes of our unit's own group.
  const std::string aside = own + "/supervisor";
  if (::mkdir(aside.c_str(), 0755) != 0 && errno != EEXIST)
    return fail_errno(errno, fmt::format("mkdir {}", aside));
  if (auto moved = write_file(aside + "/cgroup.procs", "0"); !moved)
    return std::unexpected(std::move(moved.error()));
  return Cgroups(own);
}

std::string Cgroups::path_of(std::string_view name) const {
  return fmt::format("{}/host-{}", folder_, name);
}

Result<Cgroups::Leaf> Cgroups::make_leaf(std::string_view name, const HostLimits& limits) const {
  if (folder_.empty()) return Leaf{UniqueFd(), limit(name, limits)};
  const std::string path = path_of(name);
  if (auto ended = end_processes(path); !ended) return std::unexpected(std::move(ended.error()));
  // A new one has counted nothing yet, and is not charged for what an earlier host has left in the cache.
  ::rmdir(path.c_str());
  if (::mkdir(path.c_str(), 0755) != 0 && errno != EEXIST)
    return fail_errno(errno, fmt::format("mkdir {} (is the group gone? systemctl restart tcmu-hosts)", path));
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return fail_errno(errno, fmt::format("open {}", path));
  return Leaf{std::move(fd), limit(name, limits)};
}

Walls Cgroups::limit(std::string_view name, const HostLimits& limits) const {
  // Each for itself: one that the kernel lacks must not cost the others. In our own group
  // none is switched on.
  if (folder_.ends_with(kHosts))
    for (const char* controller : {"+memory", "+pids", "+cpu", "+io"}) {
      [[maybe_unused]] const auto tried = write_file(folder_ + "/cgroup.subtree_control", controller);
    }
  return set_limits(path_of(name), limits);
}

std::string Cgroups::out_of_memory(std::string_view name) const {
  const std::string path = path_of(name);
  if (folder_.empty() || count_in(path + "/memory.events", "oom_kill") == 0) return {};
  if (count_in(path + "/memory.events", "oom") == 0) return "killed for lack of memory (the whole machine's)";
  std::string max;
  std::ifstream(path + "/memory.max") >> max;
  std::uint64_t bytes = 0;
  std::from_chars(max.data(), max.data() + max.size(), bytes);
  if (bytes >= 1 << 20) max = fmt::format("{}M", bytes >> 20);
  return fmt::format("killed for lack of memory (memory.max {} of its control group)", max);
}

std::string Cgroups::leaf_in_proc(std::string_view name) const {
  return folder_.empty() ? std::string() : path_of(name).substr(kMount.size());
}

Result<> Cgroups::end_processes(const std::string& leaf) const {
  const UniqueFd events(::open((leaf + "/cgroup.events").c_str(), O_RDONLY | O_CLOEXEC));
  if (!events)
    return errno == ENOENT ? Result<>() : fail_errno(errno, fmt::format("open {}/cgroup.events", leaf));
  if (!populated(events)) return {};
  if (auto killed = write_file(leaf + "/cgroup.kill", "1"); !killed) return killed;
  const auto deadline = std::chrono::steady_clock::now() + kKillPatience;
  while (populated(events)) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now()).count();
    if (left <= 0)
      return fail(
          Cause::Busy, EBUSY,
          fmt::format("an earlier handler-host in {} can't be killed; its storage does not answer", leaf));
    pollfd change{.fd = events.get(), .events = POLLPRI, .revents = 0};
    ::poll(&change, 1, static_cast<int>(left));
  }
  return {};
}

void Cgroups::remove_leaf(std::string_view name) const {
  if (!folder_.empty()) ::rmdir(path_of(name).c_str());
}

}  // namespace bulkhead::supervisor
