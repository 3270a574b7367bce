#include "tcmuctl/audit.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <utility>

#include "base/printable.h"

namespace bulkhead::tcmuctl {
namespace {

// From the outside in. Names that a newer supervisor adds come last, in capitals.
constexpr std::pair<const char*, const char*> kHeadings[] = {{"user", "USER"},
                                                             {"capabilities", "CAPS"},
                                                             {"no-new-privileges", "NNP"},
                                                             {"user-namespace", "USRNS"},
                                                             {"pid-namespace", "PIDNS"},
                                                             {"mount-namespace", "MNTNS"},
                                                             {"ipc-namespace", "IPCNS"},
                                                             {"uts-namespace", "UTSNS"},
                                                             {"cgroup-namespace", "CGNS"},
                                                             {"network-namespace", "NETNS"},
                                                             {"root", "ROOT"},
                                                             {"landlock", "LANDLOCK"},
                                                             {"seccomp", "SECCOMP"},
                                                             {"dumpable", "NODUMP"},
                                                             {"limits", "RLIMITS"},
                                                             {"memory-limit", "MEMORY"},
                                                             {"process-limit", "PROCS"},
                                                             {"cpu-weight", "CPU"},
                                                             {"io-weight", "IO"}};

std::string heading(const std::string& wall) {
  const auto known = std::ranges::find(kHeadings, wall, [](const auto& pair) { return pair.first; });
  if (known != std::end(kHeadings)) return known->second;
  std::string text = printable(wall);
  std::ranges::transform(text, text.begin(), [](unsigned char c) { return std::toupper(c); });
  return text;
}

std::vector<std::string> walls_of(const std::vector<Device>& devices) {
  std::vector<std::string> walls;
  auto some = [&devices](const std::string& wall) {
    return std::ranges::any_of(devices, [&](const Device& device) { return device.sandbox.contains(wall); });
  };
  for (const auto& [wall, title] : kHeadings)
    if (some(wall)) walls.emplace_back(wall);
  for (const Device& device : devices)
    for (const auto& [wall, state] : device.sandbox)
      if (std::ranges::find(walls, wall) == walls.end()) walls.push_back(wall);
  return walls;
}

Cell cell(const Device& device, const std::string& wall) {
  const auto found = device.sandbox.find(wall);
  if (device.host_pid == 0) return {"-"};
  if (found == device.sandbox.end()) return {"?", Color::Yellow};
  switch (wall_state(found->second)) {
    case WallState::Stands:
      return {"on", Color::Green};
    case WallState::NotAsked:
      return {"-"};
    case WallState::Missing:
      return {"missing", Color::Yellow};
    case WallState::Off:
      break;
  }
  return {"OFF", Color::Red};
}

}  // namespace

WallState wall_state(const std::string& text) {
  if (text == "on" || text.starts_with("on:")) return WallState::Stands;
  if (text == "not asked") return WallState::NotAsked;
  return text.starts_with("missing") ? WallState::Missing : WallState::Off;
}

std::string standing_walls(const Device& device) {
  constexpr std::string_view kDetail = "on: ";
  std::string text;
  for (const auto& [wall, state] : device.sandbox) {
    if (wall_state(state) != WallState::Stands) continue;
    text += (text.empty() ? "" : ", ") + wall;
    if (state.starts_with(kDetail)) text += fmt::format(" ({})", state.substr(kDetail.size()));
  }
  return text;
}

std::string other_walls(const Device& device) {
  std::string text;
  for (const auto& [wall, state] : device.sandbox)
    if (wall_state(state) != WallState::Stands)
      text += fmt::format("{}{} ({})", text.empty() ? "" : ", ", wall, state);
  return text;
}

bool lacks_walls(const Device& device) {
  auto off = [](const auto& wall) { return wall_state(wall.second) == WallState::Off; };
  return device.host_pid != 0 && (device.sandbox.empty() || std::ranges::any_of(device.sandbox, off));
}

std::string audit_view(const std::vector<Device>& devices, const Screen& screen) {
  const std::vector<std::string> walls = walls_of(devices);
  std::vector<Column> columns{{"DEVICE"}, {"HOST", Align::Right}};
  for (const std::string& wall : walls) columns.push_back({heading(wall)});
  std::vector<std::vector<Cell>> rows;
  std::string reasons;
  for (const Device& device : devices) {
    std::vector<Cell> row{{device.key}, {device.host_pid == 0 ? "-" : fmt::to_string(device.host_pid)}};
    for (const std::string& wall : walls) row.push_back(cell(device, wall));
    rows.push_back(std::move(row));
    if (device.host_pid != 0 && device.sandbox.empty())
      reasons += fmt::format("{}: nothing is known of its walls\n", printable(device.key));
    for (const auto& [wall, state] : device.sandbox)
      if (const WallState is = wall_state(state); is == WallState::Off || is == WallState::Missing)
        reasons += fmt::format("{}: {}: {}\n", printable(device.key), printable(wall), printable(state));
  }
  return render_table(columns, rows, screen.width, screen.colors) + reasons;
}

nlohmann::json audit_json(const std::vector<Device>& devices) {
  nlohmann::json list = nlohmann::json::array();
  for (const Device& device : devices)
    list.push_back({{"device", device.key},
                    {"HostPid", device.host_pid},
                    {"Sandbox", device.sandbox},
                    {"lacks_walls", lacks_walls(device)}});
  return list;
}

}  // namespace bulkhead::tcmuctl
