#include "tcmuctl/doctor/system_checks.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <array>
#include <fstream>
#include <sstream>

#include "base/error.h"

namespace bulkhead::tcmuctl {
namespace {

namespace fs = std::filesystem;

constexpr const char* kBusName = "org.kernel.TCMUService1";

fs::path under(const Root& root, const std::string& path) {
  return root / path.substr(1);
}

bool present(const fs::path& path) {
  struct stat facts{};
  return ::lstat(path.c_str(), &facts) == 0;
}

// "" and a reason when others can't read it, as the bus's own user must.
std::string unreadable_by_others(const Root& root, const std::string& path) {
  fs::path current = root;
  for (const fs::path& part : fs::path(path.substr(1))) {
    current /= part;
    struct stat facts{};
    if (::stat(current.c_str(), &facts) != 0) return errno_text(errno);
    bool folder = S_ISDIR(facts.st_mode);
    if ((facts.st_mode & (folder ? S_IXOTH : S_IROTH)) == 0)
      return fmt::format("mode {:04o} of /{}", facts.st_mode & 07777, fs::relative(current, root).string());
  }
  return "";
}

std::string file_text(const fs::path& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

Finding good(std::string what) {
  return {Health::Good, std::move(what), ""};
}
Finding notice(std::string what, std::string remedy) {
  return {Health::Notice, std::move(what), std::move(remedy)};
}
Finding problem(std::string what, std::string remedy) {
  return {Health::Problem, std::move(what), std::move(remedy)};
}

// The first of these that exists.
template <std::size_t N>
std::optional<std::string> first_of(const Root& root, const std::array<const char*, N>& paths) {
  for (const char* path : paths)
    if (present(under(root, path))) return path;
  return std::nullopt;
}

// systemd's way of masking: a link to /dev/null, or an empty file.
std::optional<std::string> mask_of(const Root& root, const std::string& unit) {
  for (const char* folder : {"/etc/systemd/system/", "/run/systemd/system/"}) {
    fs::path path = under(root, folder + unit);
    std::error_code ignored;
    if (!present(path)) continue;
    bool to_null = fs::is_symlink(path, ignored) && fs::read_symlink(path, ignored) == "/dev/null";
    bool empty = !fs::is_symlink(path, ignored) && fs::file_size(path, ignored) == 0;
    if (to_null || empty) return folder + unit;
  }
  return std::nullopt;
}

// The pid that holds a lock on the file, from /proc/locks: "1: POSIX  ADVISORY  WRITE 123 08:01:4711 0 EOF".
std::optional<std::uint32_t> lock_holder(const Root& root, const struct stat& file) {
  std::ifstream locks(under(root, "/proc/locks"));
  std::string wanted = fmt::format("{:02x}:{:02x}:{}", major(file.st_dev), minor(file.st_dev), file.st_ino);
  for (std::string line; std::getline(locks, line);) {
    std::istringstream words(line);
    std::string number, kind, manner, mode, place;
    std::uint32_t pid = 0;
    if (words >> number >> kind >> manner >> mode >> pid >> place && place == wanted) return pid;
  }
  return std::nullopt;
}

}  // namespace

// In the order in which the supervisor looks (check_kernel_interface()), so that both say the same.
Findings check_kernel(const Root& root) {
  if (!present(under(root, "/sys/module/target_core_user")))
    return {problem("The kernel module target_core_user is not loaded.",
                    "modprobe target_core_user; if that fails, look into /etc/modprobe.d for a blacklist")};
  if (!present(under(root, "/sys/kernel/config")))
    return {problem("The kernel has no configfs.", "modprobe configfs")};
  if (!present(under(root, "/sys/kernel/config/target"))) {
    std::ifstream mounts(under(root, "/proc/self/mounts"));
    const std::string text{std::istreambuf_iterator<char>(mounts), {}};
    if (!text.contains(" /sys/kernel/config configfs "))
      return {problem("configfs is not mounted.", "mount -t configfs none /sys/kernel/config")};
    return {problem("/sys/kernel/config/target is missing: the target core is not loaded.",
                    "modprobe target_core_mod")};
  }
  if (!present(under(root, "/sys/class/uio")))
    return {problem("The kernel has no uio devices (/sys/class/uio).", "modprobe uio")};
  return {good("The kernel serves TCM-User devices.")};
}

std::string prefix_of(const Root& root) {
  std::error_code trouble;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", trouble);
  if (root != "/" || trouble || self.parent_path().filename() != "bin") return "/usr";
  return self.parent_path().parent_path();
}

Findings check_programs(const Root& root) {
  Findings findings;
  const std::string prefix = prefix_of(root);
  for (const std::string& path :
       {prefix + "/bin/tcmu-supervisor", prefix + "/lib/tcmu-bulkhead/tcmu-handler-host"}) {
    struct stat facts{};
    if (::stat(under(root, path).c_str(), &facts) != 0)
      findings.push_back(problem(fmt::format("{}: {}.", path, errno_text(errno)), "reinstall tcmu-bulkhead"));
    else if ((facts.st_mode & S_IXOTH) == 0)
      findings.push_back(problem(
          fmt::format("{} can't be executed by every user (mode {:04o}).", path, facts.st_mode & 07777),
          fmt::format("chmod 755 {}", path)));
  }
  if (findings.empty()) findings.push_back(good("The supervisor and the handler-host are installed."));
  return findings;
}

Findings check_policy_file(const Root& root) {
  Findings findings;
  constexpr std::array kOurs = {"/usr/share/dbus-1/system.d/org.kernel.TCMUService1.conf",
                                "/etc/dbus-1/system.d/org.kernel.TCMUService1.conf"};
  constexpr std::array kOld = {"/etc/dbus-1/system.d/tcmu-runner.conf",
                               "/usr/share/dbus-1/system.d/tcmu-runner.conf"};
  std::optional<std::string> ours = first_of(root, kOurs);
  if (!ours) {
    findings.push_back(problem(fmt::format("The bus's policy file {} is missing.", kOurs.front()),
                               "reinstall tcmu-bulkhead, then systemctl reload dbus"));
  } else if (std::string reason = unreadable_by_others(root, *ours); !reason.empty()) {
    findings.push_back(problem(fmt::format("The bus can't read its policy file {}: {}.", *ours, reason),
                               fmt::format("chmod o+rX it, then systemctl reload dbus")));
  } else {
    findings.push_back(good(fmt::format("The bus's policy file is {}.", *ours)));
  }
  // The package puts an empty one in its place.
  std::optional<std::string> old = first_of(root, kOld);
  if (old && file_text(under(root, *old)).find("own_prefix") != std::string::npos)
    findings.push_back(notice(fmt::format("{} lets every user own the names of handlers.", *old),
                              "remove it (it is tcmu-runner's), then systemctl reload dbus"));
  return findings;
}

Findings check_activation_file(const Root& root) {
  const std::string path = fmt::format("/usr/share/dbus-1/system-services/{}.service", kBusName);
  std::string reason = unreadable_by_others(root, path);
  if (!reason.empty())
    return {problem(fmt::format("The bus can't start the supervisor by itself: {}: {}.", path, reason),
                    "reinstall tcmu-bulkhead, then systemctl reload dbus")};
  if (file_text(under(root, path)).find("tcmu-supervisor") == std::string::npos)
    return {problem(fmt::format("{} starts another program than tcmu-supervisor.", path),
                    "remove tcmu-runner, reinstall tcmu-bulkhead, then systemctl reload dbus")};
  return {good("The bus knows how to start the supervisor.")};
}

Findings check_unit(const Root& root) {
  constexpr std::array kPlaces = {"/etc/systemd/system/tcmu-supervisor.service",
                                  "/lib/systemd/system/tcmu-supervisor.service",
                                  "/usr/lib/systemd/system/tcmu-supervisor.service"};
  constexpr std::array kRunner = {"/lib/systemd/system/tcmu-runner.service",
                                  "/usr/lib/systemd/system/tcmu-runner.service"};
  for (const char* unit : {"tcmu-supervisor.service", "tcmu-runner.service"})
    if (std::optional<std::string> mask = mask_of(root, unit))
      return {
          problem(fmt::format("The unit is masked by {}.", *mask), fmt::format("systemctl unmask {}", unit))};
  if (!first_of(root, kPlaces))
    return {problem("The unit tcmu-supervisor.service is missing.",
                    "reinstall tcmu-bulkhead; systemctl daemon-reload")};
  Findings findings;
  if (std::optional<std::string> runner = first_of(root, kRunner))
    findings.push_back(notice(fmt::format("tcmu-runner's own unit {} is installed too.", *runner),
                              "remove tcmu-runner; only one daemon can serve TCM-User devices"));
  if (!present(under(root, "/etc/systemd/system/multi-user.target.wants/tcmu-supervisor.service")))
    findings.push_back(
        notice("The supervisor does not start at boot, only on demand.", "systemctl enable tcmu-supervisor"));
  if (findings.empty())
    findings.push_back(good("The unit tcmu-supervisor.service is installed and enabled."));
  return findings;
}

Findings check_lock(const Root& root, std::optional<std::uint32_t> supervisor_pid) {
  struct stat facts{};
  std::optional<std::uint32_t> holder;
  if (::stat(under(root, "/run/tcmu.lock").c_str(), &facts) == 0) holder = lock_holder(root, facts);
  if (!holder || holder == supervisor_pid) return {good("No other daemon holds /run/tcmu.lock.")};
  std::string command = file_text(under(root, fmt::format("/proc/{}/comm", *holder)));
  if (!command.empty() && command.back() == '\n') command.pop_back();
  std::string who = fmt::format("pid {} ({})", *holder, command.empty() ? "unknown" : command);
  if (command == "tcmu-supervisor")
    return {notice(fmt::format("The supervisor runs as {}, but does not own its bus name.", who),
                   "see journalctl -u tcmu-supervisor; systemctl reload dbus")};
  return {problem(fmt::format("Another daemon, {}, holds /run/tcmu.lock.", who),
                  "stop it; only one daemon can serve TCM-User devices")};
}

}  // namespace bulkhead::tcmuctl
