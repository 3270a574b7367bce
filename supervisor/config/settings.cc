#include "supervisor/config/settings.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include "base/printable.h"

namespace bulkhead::supervisor {
namespace {

enum class Effect : std::uint8_t { AtOnce, AfterRestart };

// One line per key: a number within bounds, or an absolute path.
struct KeyRule {
  std::string_view name;
  Effect effect;
  std::int64_t least, most;  // of a number; beyond, the nearer of the two is used
  void (*set_number)(Settings&, std::int64_t);
  void (*set_path)(Settings&, std::optional<std::string>);
  bool (*same)(const Settings&, const Settings&);
};

constexpr KeyRule kKeys[] = {
    {"log_level", Effect::AtOnce, 0, 5,
     [](Settings& s, std::int64_t number) { s.log_level = level_of(number); }, nullptr,
     [](const Settings& a, const Settings& b) { return a.log_level == b.log_level; }},
    {"log_dir", Effect::AtOnce, 0, 0, nullptr,
     [](Settings& s, std::optional<std::string> path) { s.log_directory = std::move(path); },
     [](const Settings& a, const Settings& b) { return a.log_directory == b.log_directory; }},
    // Ours alone. Below 65536 live the machine's own users; 65536 hosts must fit below 2^31.
    {"host_uid_base", Effect::AfterRestart, 65536, 0x7feffc00,
     [](Settings& s, std::int64_t number) { s.host_uid_base = static_cast<std::uint32_t>(number); }, nullptr,
     [](const Settings& a, const Settings& b) { return a.host_uid_base == b.host_uid_base; }},
};

// What is wrong with it, or nothing. tcmu-runner took the digits and did not look at what stands behind them.
std::string set_number(const KeyRule& rule, const std::string& text, Settings& settings) {
  std::int64_t number = 0;
  const char* end = text.data() + text.size();
  const auto [stop, trouble] = std::from_chars(text.data(), end, number);
  if (trouble != std::errc())
    return fmt::format("{} wants a number, not \"{}\": ignored", rule.name, printable(text.substr(0, 60)));
  const std::int64_t used = std::clamp(number, rule.least, rule.most);
  rule.set_number(settings, used);
  if (used != number)
    return fmt::format("{} is {}, not within {} to {}: {} is used", rule.name, number, rule.least, rule.most,
                       used);
  if (stop != end) return fmt::format("{}: what follows the number is ignored", rule.name);
  return {};
}

std::string set_path(const KeyRule& rule, const std::string& text, Settings& settings) {
  if (!text.empty() && text.front() != '/')
    return fmt::format("{} wants an absolute path, not \"{}\": ignored", rule.name,
                       printable(text.substr(0, 60)));
  rule.set_path(settings, text.empty() ? std::nullopt : std::optional(text));
  return {};
}

}  // namespace

void apply(const ConfigFile& file, Settings& settings, std::vector<std::string>& warnings,
           std::vector<ConfigEntry>& unknown) {
  auto complain = [&warnings](std::size_t line, const std::string& complaint) {
    if (!complaint.empty()) warnings.push_back(fmt::format("line {}: {}", line, complaint));
  };
  for (const ConfigSection& section : file.sections)
    if (!DevicePolicies::names_device(section.name))
      complain(section.line,
               fmt::format("[{}] is no device's, which is called user_N/NAME: ignored with its keys",
                           printable(section.name.substr(0, 60))));
  for (const ConfigEntry& entry : file.entries) {
    if (!entry.section.empty() && !DevicePolicies::names_device(entry.section)) continue;
    if (DevicePolicies::knows(entry.key)) {
      complain(entry.line, settings.devices.take(entry));
      continue;
    }
    const auto rule = std::ranges::find(kKeys, entry.key, &KeyRule::name);
    if (rule == std::end(kKeys)) {
      unknown.push_back(entry);
      continue;
    }
    if (!entry.section.empty()) {
      complain(entry.line,
               fmt::format("{} can't be set for one device: ignored; it belongs before the first section",
                           rule->name));
      continue;
    }
    const std::string complaint = !entry.value       ? fmt::format("{} without a value: ignored", rule->name)
                                  : rule->set_number ? set_number(*rule, *entry.value, settings)
                                                     : set_path(*rule, *entry.value, settings);
    complain(entry.line, complaint);
  }
  for (std::string& doubt : settings.devices.doubts()) warnings.push_back(std::move(doubt));
}

std::vector<std::string_view> needs_restart(const Settings& before, const Settings& after) {
  std::vector<std::string_view> keys;
  for (const KeyRule& rule : kKeys)
    if (rule.effect == Effect::AfterRestart && !rule.same(before, after)) keys.push_back(rule.name);
  return keys;
}

SettingsLoader::SettingsLoader(std::string config_file, CommandLine command_line,
                               std::optional<std::string> environment_log_dir)
    : config_file_(std::move(config_file)),
      command_line_(std::move(command_line)),
      environment_log_dir_(std::move(environment_log_dir)) {}

LoadedSettings SettingsLoader::load() {
  LoadedSettings loaded;
  Settings& settings = loaded.settings;
  if (environment_log_dir_ && environment_log_dir_->starts_with('/'))
    settings.log_directory = environment_log_dir_;
  else if (environment_log_dir_ && !environment_log_dir_->empty())
    loaded.warnings.push_back(fmt::format("TCMU_LOGDIR wants an absolute path, not \"{}\": ignored",
                                          printable(*environment_log_dir_)));
  if (command_line_.debug) settings.log_level = Level::DebugScsi;
  if (command_line_.log_directory) settings.log_directory = command_line_.log_directory;
  settings.handler_folder = command_line_.handler_folder;
  settings.open_files = command_line_.open_files;
  const Result<std::optional<ConfigFile>> file = read_config(config_file_);
  loaded.unread = !file;
  if (!file) loaded.warnings.push_back(file.error().what);
  if (!file || !*file) return loaded;
  std::vector<std::string> complaints = (*file)->problems;
  std::vector<ConfigEntry> unknown;
  apply(**file, settings, complaints, unknown);
  for (const ConfigEntry& entry : unknown)
    if (unknown_keys_.insert(entry.key).second)
      complaints.push_back(fmt::format("line {}: unknown key \"{}\": ignored", entry.line, entry.key));
  for (const std::string& complaint : complaints)
    loaded.warnings.push_back(fmt::format("{}: {}", config_file_, complaint));
  return loaded;
}

}  // namespace bulkhead::supervisor
