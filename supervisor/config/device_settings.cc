#include "supervisor/config/device_settings.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <ranges>
#include <type_traits>

#include "base/printable.h"

namespace bulkhead::supervisor {
namespace {

using std::chrono::seconds;

constexpr std::int64_t kMostSeconds = 86'400;
constexpr std::int64_t kMostToOpenOrClose = 600;  // as in manifests
constexpr std::uint64_t kMostPerSecond = 1'000'000'000'000;
constexpr std::int64_t kMostToSave = 3'600;

// Each sets its field, or says what is wrong with the value.
std::string set_seconds(std::optional<seconds>& to, std::string_view key, std::string_view text,
                        std::int64_t least = 0, std::int64_t most = kMostSeconds) {
  std::int64_t number = 0;
  const auto [stop, trouble] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (trouble != std::errc() || stop != text.data() + text.size())
    return fmt::format("{} wants a number of seconds, not \"{}\": ignored", key,
                       printable(text.substr(0, 60)));
  const std::int64_t used = std::clamp(number, least, most);
  to = seconds(used);
  if (used == number) return {};
  return fmt::format("{} is {}, not within {} to {}: {} is used", key, number, least, most, used);
}

template <class Number>
std::string set_number(std::optional<Number>& to, std::string_view key, std::string_view text,
                       std::type_identity_t<Number> least, std::type_identity_t<Number> most) {
  std::int64_t number = 0;
  const auto [stop, trouble] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (trouble != std::errc() || stop != text.data() + text.size())
    return fmt::format("{} wants a number, not \"{}\": ignored", key, printable(text.substr(0, 60)));
  const std::int64_t used =
      std::clamp(number, static_cast<std::int64_t>(least), static_cast<std::int64_t>(most));
  to = static_cast<Number>(used);
  if (used == number) return {};
  return fmt::format("{} is {}, not within {} to {}: {} is used", key, number, least, most, *to);
}

// "seccomp, user-namespace": separated by commas, blanks around them; nothing: none. A line with a
// mistake must not open what it was to close: what can't be meant is a wall that no host has.
std::string set_walls(std::optional<std::vector<std::string>>& to, std::string_view key,
                      std::string_view text) {
  std::vector<std::string> walls;
  std::string complaint;
  for (const auto part : std::views::split(text, ',')) {
    std::string_view name(part.begin(), part.end());
    name.remove_prefix(std::min(name.find_first_not_of(" \t"), name.size()));
    name = name.substr(0, name.find_last_not_of(" \t") + 1);
    if (name.empty()) {
      if (!text.empty()) complaint = fmt::format("{} has a comma too many", key);
      continue;
    }
    if (name.find_first_not_of("abcdefghijklmnopqrstuvwxyz-") != std::string_view::npos)
      complaint =
          fmt::format("{} wants names of walls, separated by commas, not \"{}\": no host has such a one", key,
                      printable(name.substr(0, 60)));
    walls.push_back(printable(name.substr(0, 60)));
  }
  to = std::move(walls);
  return complaint;
}

// "0-3,8", and nothing for all; whether there are such the kernel knows.
std::string set_list(std::optional<std::string>& to, std::string_view key, std::string_view text) {
  if (text.find_first_not_of("0123456789-,") != std::string_view::npos)
    return fmt::format("{} wants numbers and ranges like 0-3,8, not \"{}\": ignored", key,
                       printable(text.substr(0, 60)));
  to = std::string(text);
  return {};
}

// "/srv:/var/lib/images". What can't be meant is left out, and allows nothing.
std::string set_folders(std::optional<std::vector<std::string>>& to, std::string_view key,
                        std::string_view text) {
  std::vector<std::string> folders;
  std::string complaint;
  for (const auto part : std::views::split(text, ':')) {
    const std::string_view name(part.begin(), part.end());
    if (name.starts_with('/')) {
      std::string folder = std::filesystem::path(name).lexically_normal().string();
      if (folder.size() > 1 && folder.ends_with('/')) folder.pop_back();
      folders.push_back(std::move(folder));
    } else if (!text.empty()) {
      complaint =
          fmt::format("{} wants absolute paths, separated by colons, not \"{}\": that one is left out", key,
                      printable(name.substr(0, 60)));
    }
  }
  to = std::move(folders);
  return complaint;
}

template <class T>
std::string set_word(std::optional<T>& to, std::string_view key, std::string_view text,
                     std::string_view first, T first_value, std::string_view second, T second_value) {
  if (text != first && text != second)
    return fmt::format("{} wants {} or {}, not \"{}\": ignored", key, first, second,
                       printable(text.substr(0, 60)));
  to = text == first ? first_value : second_value;
  return {};
}

struct KeyRule {
  std::string_view name;
  std::string (*set)(DeviceSettings&, std::string_view key, std::string_view text);
};
constexpr KeyRule kKeys[] = {
    {"hang_warn_seconds", [](DeviceSettings& s, std::string_view key,
                             std::string_view text) { return set_seconds(s.hang_warn, key, text); }},
    {"hang_kill_seconds", [](DeviceSettings& s, std::string_view key,
                             std::string_view text) { return set_seconds(s.hang_kill, key, text); }},
    {"hang_dump",
     [](DeviceSettings& s, std::string_view key, std::string_view text) {
       return set_word(s.hang_dump, key, text, "on", true, "off", false);
     }},
    {"open_seconds",
     [](DeviceSettings& s, std::string_view key, std::string_view text) {
       return set_seconds(s.open_limit, key, text, 1, kMostToOpenOrClose);
     }},
    {"close_seconds",
     [](DeviceSettings& s, std::string_view key, std::string_view text) {
       return set_seconds(s.close_limit, key, text, 1, kMostToOpenOrClose);
     }},
    {"on_failure",
     [](DeviceSettings& s, std::string_view key, std::string_view text) {
       return set_word(s.on_failure, key, text, "hold", OnFailure::Hold, "error", OnFailure::Error);
     }},
    {"io_grants",
     [](DeviceSettings& s, std::string_view key, std::string_view text) {
       return set_word(s.io_grants, key, text, "on", true, "off", false);
     }},
    // Below 32 MiB or 8 threads no host even starts.
    {"host_memory_mebibytes",
     [](DeviceSettings& s, std::string_view key, std::string_view text) {
       return set_number(s.memory_mebibytes, key, text, text == "0" ? 0 : 32, 1u << 30);
     }},
    {"host_processes",
     [](DeviceSettings& s, std::string_view key, std::string_view text) {
       return set_number(s.processes, key, text, text == "0" ? 0 : 8, 1u << 22);
     }},
    {"required_walls", [](DeviceSettings& s, std::string_view key,
                          std::string_view text) { return set_walls(s.required_walls, key, text); }},
    {"file_roots", [](DeviceSettings& s, std::string_view key,
                      std::string_view text) { return set_folders(s.file_roots, key, text); }},
    {"file_symlinks",
     [](DeviceSettings& s, std::string_view key, std::string_view text) {
       std::string complaint =
           set_word(s.file_symlinks, key, text, "follow", Symlinks::Follow, "refuse", Symlinks::Refuse);
       if (complaint.empty()) return complaint;
       s.file_symlinks = Symlinks::Refuse;
       return fmt::format("{} wants follow or refuse, not \"{}\": refuse is used", key,
                          printable(text.substr(0, 60)));
     }},
    {"host_cpu_weight", [](DeviceSettings& s, std::string_view key,
                           std::string_view text) { return set_number(s.cpu_weight, key, text, 1, 10000); }},
    {"host_io_weight", [](DeviceSettings& s, std::string_view key,
                          std::string_view text) { return set_number(s.io_weight, key, text, 1, 10000); }},
    {"host_cpus", [](DeviceSettings& s, std::string_view key,
                     std::string_view text) { return set_list(s.host_cpus, key, text); }},
    {"host_memory_nodes", [](DeviceSettings& s, std::string_view key,
                             std::string_view text) { return set_list(s.host_memory_nodes, key, text); }},
    {"busy_poll_usec",
     [](DeviceSettings& s, std::string_view key, std::string_view text) {
       return set_number(s.busy_poll_usec, key, text, 0, 10'000);
     }},
    {"limit_iops",
     [](DeviceSettings& s, std::string_view key, std::string_view text) {
       return set_number(s.limit_iops, key, text, 0, kMostPerSecond);
     }},
    {"limit_bytes_per_second",
     [](DeviceSettings& s, std::string_view key, std::string_view text) {
       return set_number(s.limit_bytes_per_second, key, text, 0, kMostPerSecond);
     }},
    {"limit_burst_seconds",
     [](DeviceSettings& s, std::string_view key, std::string_view text) {
       return set_seconds(s.limit_burst, key, text, 0, kMostToSave);
     }},
};

}  // namespace

DeviceSettings DevicePolicies::of(std::string_view device) const {
  DeviceSettings settings = all_;
  const auto at = devices_.find(device);
  if (at == devices_.end()) return settings;
  auto prefer = [&settings, &own = at->second](auto member) {
    if (own.*member) settings.*member = own.*member;
  };
  prefer(&DeviceSettings::hang_warn);
  prefer(&DeviceSettings::hang_kill);
  prefer(&DeviceSettings::hang_dump);
  prefer(&DeviceSettings::open_limit);
  prefer(&DeviceSettings::close_limit);
  prefer(&DeviceSettings::on_failure);
  prefer(&DeviceSettings::io_grants);
  prefer(&DeviceSettings::memory_mebibytes);
  prefer(&DeviceSettings::processes);
  prefer(&DeviceSettings::cpu_weight);
  prefer(&DeviceSettings::io_weight);
  prefer(&DeviceSettings::host_cpus);
  prefer(&DeviceSettings::host_memory_nodes);
  prefer(&DeviceSettings::busy_poll_usec);
  prefer(&DeviceSettings::limit_iops);
  prefer(&DeviceSettings::limit_bytes_per_second);
  prefer(&DeviceSettings::limit_burst);
  prefer(&DeviceSettings::required_walls);
  prefer(&DeviceSettings::file_roots);
  prefer(&DeviceSettings::file_symlinks);
  return settings;
}

bool DevicePolicies::knows(std::string_view key) {
  return std::ranges::find(kKeys, key, &KeyRule::name) != std::end(kKeys);
}

bool DevicePolicies::names_device(std::string_view section) {
  constexpr std::string_view kHba = "user_";
  if (!section.starts_with(kHba)) return false;
  section.remove_prefix(kHba.size());
  const auto slash = section.find_first_not_of("0123456789");
  if (slash == 0 || slash == std::string_view::npos || section[slash] != '/') return false;
  section.remove_prefix(slash + 1);
  return !section.empty() && section.find('/') == std::string_view::npos;
}

std::string DevicePolicies::take(const ConfigEntry& entry) {
  const auto rule = std::ranges::find(kKeys, entry.key, &KeyRule::name);
  if (!entry.value) return fmt::format("{} without a value: ignored", entry.key);
  return rule->set(entry.section.empty() ? all_ : devices_[entry.section], rule->name, *entry.value);
}

std::vector<std::string> DevicePolicies::doubts() const {
  std::vector<std::string> doubts;
  auto judge = [&doubts](const DeviceSettings& settings, const std::string& where) {
    const seconds warn = settings.hang_warn.value_or(seconds(0)),
                  kill = settings.hang_kill.value_or(seconds(0));
    if (kill == seconds(0) || warn < kill) return;
    doubts.push_back(
        fmt::format("{}: hang_warn_seconds is {} and hang_kill_seconds {}: no warning comes before the kill",
                    where, warn.count(), kill.count()));
  };
  judge(all_, "before the first section");
  for (const auto& [device, own] : devices_) judge(of(device), fmt::format("[{}]", printable(device)));
  return doubts;
}

}  // namespace bulkhead::supervisor
