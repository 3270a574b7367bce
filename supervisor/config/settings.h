// What the supervisor was told to do: defaults, environment, command line and /etc/tcmu/tcmu.conf, in one
// place. The later of these four wins, as with tcmu-runner.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/log.h"
#include "supervisor/config/command_line.h"
#include "supervisor/config/config_file.h"
#include "supervisor/config/device_settings.h"

namespace bulkhead::supervisor {

inline constexpr const char* kConfigFile = "/etc/tcmu/tcmu.conf";

struct Settings {
  Level log_level = Level::Info;
  std::optional<std::string> log_directory;   // nullopt: no log file
  std::optional<std::string> handler_folder;  // nullopt: the one beside the program
  std::optional<std::uint64_t> open_files;    // RLIMIT_NOFILE, at least
  // Hosts run as this user id plus 1 plus their uio minor. The default begins the range that systemd's table
  // (systemd.io/UIDS-GIDS) leaves unused, above those of containers.
  std::uint32_t host_uid_base = 0x70000000;
  DevicePolicies devices;
  bool operator==(const Settings&) const = default;
};

struct LoadedSettings {
  Settings settings;
  bool unread = false;                // the file is there, but could not be read: `settings` are without it
  std::vector<std::string> warnings;  // each names file and line; unknown keys only the first time
};

// Control thread; load() reads a file that may lie on one of our own LUNs: run reloads on a BlockingPool.
class SettingsLoader {
 public:
  // `environment_log_dir`: the value of TCMU_LOGDIR, if it is set.
  SettingsLoader(std::string config_file, CommandLine command_line,
                 std::optional<std::string> environment_log_dir);

  // The file may be missing. Whatever is wrong with it costs the line, never the start.
  [[nodiscard]] LoadedSettings load();

  [[nodiscard]] const std::string& config_file() const { return config_file_; }

 private:
  std::string config_file_;
  CommandLine command_line_;
  std::optional<std::string> environment_log_dir_;
  std::set<std::string, std::less<>> unknown_keys_;  // those warned of
};

// Applies what was read to `settings`. Complaints are added to `warnings`, unknown keys to `unknown`.
void apply(const ConfigFile& file, Settings& settings, std::vector<std::string>& warnings,
           std::vector<ConfigEntry>& unknown);

// Did anything change that only a restart of the supervisor makes true? Then: which key, for a message.
[[nodiscard]] std::vector<std::string_view> needs_restart(const Settings& before, const Settings& after);

}  // namespace bulkhead::supervisor
