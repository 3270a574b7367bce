#include "supervisor/spawn/host_check.h"

#include <fmt/format.h>
#include <linux/capability.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <utility>

#include "supervisor/spawn/host_process.h"

namespace bulkhead::supervisor {
namespace {

constexpr std::size_t kMaskDigits = 16;

std::string read_proc(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

// What follows "NAME:" at the beginning of a line, without leading white space.
std::optional<std::string_view> field(std::string_view status, std::string_view name) {
  while (!status.empty()) {
    std::string_view line = status.substr(0, status.find('\n'));
    status.remove_prefix(std::min(line.size() + 1, status.size()));
    if (!line.starts_with(name) || !line.substr(name.size()).starts_with(':')) continue;
    line.remove_prefix(name.size() + 1);
    line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size()));
    return line;
  }
  return std::nullopt;
}

std::optional<std::uint64_t> mask_of(std::string_view status, std::string_view name) {
  const auto text = field(status, name);
  if (!text || text->size() != kMaskDigits) return std::nullopt;
  std::uint64_t mask = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), mask, 16);
  if (error != std::errc() || end != text->data() + text->size()) return std::nullopt;
  return mask;
}

Result<> broken(std::string_view wall, std::string_view is, std::string_view should) {
  return fail(Cause::Denied, EPERM, fmt::format("{} is '{}' and should be '{}'", wall, is, should));
}

Result<> require(std::string_view status, std::string_view wall, const std::string& value) {
  const auto is = field(status, wall);
  if (is == value) return {};
  return broken(wall, is.value_or("missing"), value);
}

// Real, effective, saved, of the file system.
std::string four_times(std::string_view value) {
  return fmt::format("{0}\t{0}\t{0}\t{0}", value);
}

Result<> check_identity(const HostProcText& text, const ExpectedHost& expected) {
  for (const char* wall : {"Uid", "Gid"}) {
    std::string value = four_times(std::to_string(expected.uid));
    if (expected.uid == 0) value = field(text.own_status, wall).value_or("");
    if (auto good = require(text.status, wall, value); !good) return good;
  }
  if (expected.uid == 0) return {};
  const auto groups = field(text.status, "Groups");
  if (groups && groups->find_first_not_of(' ') == std::string_view::npos) return {};
  return broken("Groups", groups.value_or("missing"), "");
}

Result<> check_privileges(const HostProcText& text) {
  if (auto good = require(text.status, "NoNewPrivs", "1"); !good) return good;
  // A bounding set can be emptied by those alone who may; it bounds nothing where the other sets are empty.
  const auto ours = mask_of(text.own_status, "CapEff");
  const bool bounded = !ours || (*ours >> CAP_SETPCAP & 1) != 0;
  for (const char* wall : {"CapInh", "CapPrm", "CapEff", "CapAmb", "CapBnd"}) {
    if (wall == std::string_view("CapBnd") && !bounded) continue;
    if (mask_of(text.status, wall) != 0)
      return broken(wall, field(text.status, wall).value_or("missing"), "0000000000000000");
  }
  return {};
}

Result<> check_cgroup(const HostProcText& text, const ExpectedHost& expected) {
  if (expected.cgroup.empty()) return {};
  // One line "0::PATH" for cgroup v2; others are of version 1.
  const auto path = field(text.cgroup, "0:");
  if (path == expected.cgroup) return {};
  return broken("control group", path.value_or("missing"), expected.cgroup);
}

// Where a process is, e.g. "net:[4026531840]"; empty if we may not know.
std::string namespace_of(const std::string& process, std::string_view type) {
  std::error_code error;
  return std::filesystem::read_symlink(fmt::format("/proc/{}/ns/{}", process, type), error).string();
}

// Those without which no host is taken are not in question here: check_host() has judged them before.
SeenWalls look_at(pid_t pid, bool own_user) {
  SeenWalls seen{{"user", own_user}, {"capabilities", true}, {"no-new-privileges", true}};
  constexpr std::pair<const char*, const char*> kNamespaces[] = {
      {"user", "user-namespace"},  {"pid", "pid-namespace"}, {"mnt", "mount-namespace"},
      {"ipc", "ipc-namespace"},    {"uts", "uts-namespace"}, {"cgroup", "cgroup-namespace"},
      {"net", "network-namespace"}};
  for (const auto& [type, wall] : kNamespaces) {
    const std::string its = namespace_of(fmt::to_string(pid), type), ours = namespace_of("self", type);
    if (!its.empty() && !ours.empty()) seen[wall] = its != ours;
  }
  return seen;
}

Result<> check_alive(const UniqueFd& pidfd) {
  pollfd end{.fd = pidfd.get(), .events = POLLIN, .revents = 0};
  if (::poll(&end, 1, 0) == 0) return {};
  return fail(Cause::NotFound, ESRCH, "the process has ended");
}

}  // namespace

Result<> judge_host(const HostProcText& text, const ExpectedHost& expected) {
  if (auto good = check_identity(text, expected); !good) return good;
  if (auto good = check_privileges(text); !good) return good;
  return check_cgroup(text, expected);
}

// What systemd put on us is on every host too.
std::optional<bool> own_seccomp(const HostProcText& text, const ExpectedHost& expected) {
  auto filters = [](std::string_view status) {
    const std::string_view digits = field(status, "Seccomp_filters").value_or("0");
    unsigned count = 0;
    std::from_chars(digits.data(), digits.data() + digits.size(), count);
    return count;
  };
  if (field(text.status, "Seccomp") != "2") return false;
  if (filters(text.status) > filters(text.own_status)) return true;
  return expected.adopted ? std::nullopt : std::optional(false);
}

Result<SeenWalls> check_host(const UniqueFd& pidfd, const ExpectedHost& expected) {
  const auto pid = pid_of(pidfd);
  if (!pid) return std::unexpected(pid.error());
  const HostProcText text{.status = read_proc(fmt::format("/proc/{}/status", *pid)),
                          .cgroup = read_proc(fmt::format("/proc/{}/cgroup", *pid)),
                          .own_status = read_proc("/proc/self/status")};
  SeenWalls seen = look_at(*pid, expected.uid != 0);
  if (const auto filtered = own_seccomp(text, expected)) seen["seccomp"] = *filtered;
  // After reading: while it lives, its number can't be another's, so the texts were about this process.
  if (auto alive = check_alive(pidfd); !alive) return std::unexpected(std::move(alive.error()));
  if (auto good = judge_host(text, expected); !good) return std::unexpected(std::move(good.error()));
  return seen;
}

}  // namespace bulkhead::supervisor
