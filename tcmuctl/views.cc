#include "tcmuctl/views.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "base/printable.h"
#include "tcmuctl/audit.h"
#include "tcmuctl/human.h"

namespace bulkhead::tcmuctl {
namespace {

Color state_color(const std::string& state) {
  if (state == "serving") return Color::Green;
  if (state == "failed") return Color::Red;
  return Color::Yellow;
}

std::string pid_text(std::uint32_t pid) {
  return pid == 0 ? "-" : fmt::to_string(pid);
}

std::uint64_t value_of(const Counts& counts, const char* name) {
  auto found = counts.find(name);
  return found == counts.end() ? 0 : found->second;
}

std::uint64_t sum(const Counts& counts) {
  std::uint64_t total = 0;
  for (const auto& [name, value] : counts) total += value;
  return total;
}

std::string since(std::uint64_t then, std::uint64_t now) {
  if (then == 0) return "-";
  if (then > now) return human_time(then);  // the clock was set back
  return fmt::format("{} ({} ago)", human_time(then), human_duration(now - then));
}

std::string counts_text(const Counts& counts) {
  std::string text;
  for (const auto& [name, value] : counts)
    if (value != 0) text += fmt::format("{}{} {}", text.empty() ? "" : ", ", name, value);
  return text.empty() ? "none" : text;
}

// Per second; nullopt when there is nothing to compare with.
std::optional<double> rate(const Counts& before, const Counts& now, const char* name,
                           std::uint64_t elapsed_usec) {
  std::uint64_t old_value = value_of(before, name), new_value = value_of(now, name);
  if (elapsed_usec == 0 || new_value < old_value) return std::nullopt;
  return static_cast<double>(new_value - old_value) * 1e6 / static_cast<double>(elapsed_usec);
}

std::string rate_text(std::optional<double> rate) {
  return rate ? human_count(*rate) : "-";
}
std::string bandwidth_text(std::optional<double> rate) {
  return rate ? human_bytes(static_cast<std::uint64_t>(*rate)) + "/s" : "-";
}

// Of the commands between two looks, and so of all at the first.
std::string latency_text(const Device& before, const Device& now, const char* part) {
  auto of = [part](const Device& device) {
    const auto found = device.latency_histograms.find(part);
    return found == device.latency_histograms.end() ? Histogram{} : found->second;
  };
  const Histogram counts = counted_since(of(before), of(now));
  const auto half = quantile(counts, 0.5), most = quantile(counts, 0.99);
  return half && most ? fmt::format("{} / {}", human_duration(*half), human_duration(*most)) : "-";
}

std::string limits_text(const Device& device) {
  std::string text = device.limit_iops == 0 ? "" : fmt::format("{} commands/s", device.limit_iops);
  if (device.limit_bytes_per_second != 0)
    text += fmt::format("{}{}/s", text.empty() ? "" : ", ", human_bytes(device.limit_bytes_per_second));
  if (text.empty()) text = "none now";
  if (device.limits_from == "SetLimits") text += " (tcmuctl limit, not tcmu.conf)";
  return text + fmt::format("; {} commands had to wait, {} in all", device.throttled,
                            human_duration(device.throttled_usec));
}

void line(std::string& text, std::string_view title, const std::string& value) {
  text += fmt::format("{:>15}: {}\n", title, value);
}

}  // namespace

std::string list_view(const std::vector<Device>& devices, const Screen& screen) {
  std::vector<std::vector<Cell>> rows;
  rows.reserve(devices.size());
  for (const Device& device : devices)
    rows.push_back({{device.key},
                    {device.subtype},
                    {device.state, state_color(device.state)},
                    {human_bytes(device.size)},
                    {pid_text(device.host_pid)},
                    {fmt::to_string(device.restarts), device.restarts == 0 ? Color::None : Color::Yellow},
                    {fmt::to_string(device.in_flight)},
                    {device.config}});
  return render_table({{"DEVICE"},
                       {"HANDLER"},
                       {"STATE"},
                       {"SIZE", Align::Right},
                       {"HOST", Align::Right},
                       {"RESTARTS", Align::Right},
                       {"IN FLIGHT", Align::Right},
                       {"CONFIG"}},
                      rows, screen.width, screen.colors);
}

std::string handlers_view(const std::vector<Handler>& handlers, const Screen& screen) {
  std::vector<std::vector<Cell>> rows;
  for (const Handler& handler : handlers) {
    std::string by = handler.bus_name.empty() ? handler.library : "process " + handler.bus_name;
    bool usable = handler.problem.empty();
    rows.push_back({{handler.subtype},
                    {usable ? "usable" : "broken", usable ? Color::Green : Color::Red},
                    {by.empty() ? "-" : by},
                    {usable ? handler.name : handler.problem}});
  }
  return render_table({{"HANDLER"}, {"STATE"}, {"SERVED BY"}, {"ABOUT"}}, rows, screen.width, screen.colors);
}

std::string show_view(const Device& device, std::uint64_t now_usec, const Screen& screen) {
  std::string text;
  std::string state = paint(device.state, state_color(device.state), screen.colors);
  if (!device.state_reason.empty()) state += ": " + printable(device.state_reason);
  line(text, "Device", printable(device.key));
  line(text, "State", state);
  line(text, "Since", since(device.state_since, now_usec));
  line(text, "Handler", printable(device.subtype));
  line(text, "Config", printable(device.config));
  line(text, "WWN", device.wwn.empty() ? "-" : printable(device.wwn));
  line(text, "Size",
       fmt::format("{} ({} bytes), blocks of {} bytes", human_bytes(device.size), device.size,
                   device.block_size));
  line(text, "Mode",
       fmt::format("{}, write cache {}", device.read_only ? "read only" : "read and write",
                   device.write_cache ? "on" : "off"));
  line(text, "Kernel device", fmt::format("/dev/uio{}", device.uio_minor));
  if (device.host_pid == 0)
    line(text, "Host", "none now");
  else
    line(text, "Host",
         fmt::format("pid {}, uid {}, since {}", device.host_pid, device.host_uid,
                     since(device.host_since, now_usec)));
  line(text, "Restarts",
       fmt::format("{}, hosts died {}, of these hung {}", device.restarts, device.deaths,
                   device.watchdog_kills));
  line(text, "Adoptions", fmt::to_string(device.adoptions));
  line(text, "Last exit", device.last_exit.empty() ? "-" : printable(device.last_exit));
  line(text, "Sandbox", device.sandbox.empty() ? "-" : printable(standing_walls(device)));
  if (const std::string others = other_walls(device); !others.empty())
    line(text, "does not stand", printable(others));
  line(text, "In flight",
       device.in_flight == 0 ? "0"
                             : fmt::format("{}, the oldest for {}", device.in_flight,
                                           human_duration(device.oldest_command_usec)));
  line(text, "Commands", counts_text(device.commands));
  line(text, "Bytes",
       fmt::format("read {}, written {}", human_bytes(value_of(device.bytes, "read")),
                   human_bytes(value_of(device.bytes, "write"))));
  line(text, "Errors", counts_text(device.errors));
  if (!device.errors_by_sense.empty()) line(text, "by sense", counts_text(device.errors_by_sense));
  line(text, "Latency",
       fmt::format("p50 {}, p99 {}, p99.9 {}, longest {}",
                   human_duration(value_of(device.latency_usec, "p50")),
                   human_duration(value_of(device.latency_usec, "p99")),
                   human_duration(value_of(device.latency_usec, "p99.9")),
                   human_duration(value_of(device.latency_usec, "max"))));
  line(text, "in the host",
       fmt::format("p50 {}, p99 {}", human_duration(value_of(device.latency_usec, "host_p50")),
                   human_duration(value_of(device.latency_usec, "host_p99"))));
  if (!device.io_grants.empty()) {
    line(text, "I/O grants", printable(device.io_grants));
    line(text, "by grant", counts_text(device.granted));
  }
  line(text, "Replayed",
       fmt::format("{}, given up as poison {}, as too old {}", device.replayed, device.poisoned,
                   device.expired));
  line(text, "Longest stall",
       device.longest_stall_usec == 0 ? "none" : human_duration(device.longest_stall_usec));
  if (device.limit_iops != 0 || device.limit_bytes_per_second != 0 || device.throttled != 0)
    line(text, "Limits", limits_text(device));
  line(text, "Aborts",
       fmt::format("{}, resets {}, commands aborted {}", device.aborts, device.resets,
                   device.aborted_commands));
  if (!device.handler_counters.empty())
    line(text, "By the handler", printable(counts_text(device.handler_counters)));
  return text;
}

std::string watch_view(const std::vector<Device>& before, const std::vector<Device>& now,
                       std::uint64_t elapsed_usec, const Screen& screen) {
  static const Device kNotSeen;
  std::vector<std::vector<Cell>> rows;
  for (const Device& device : now) {
    auto old = std::ranges::find(before, device.key, &Device::key);
    std::uint64_t elapsed = old == before.end() ? 0 : elapsed_usec;
    const Device& then = old == before.end() ? kNotSeen : *old;
    std::uint64_t errors = sum(device.errors);
    rows.push_back({{device.key},
                    {device.state, state_color(device.state)},
                    {rate_text(rate(then.commands, device.commands, "read", elapsed))},
                    {rate_text(rate(then.commands, device.commands, "write", elapsed))},
                    {bandwidth_text(rate(then.bytes, device.bytes, "read", elapsed))},
                    {bandwidth_text(rate(then.bytes, device.bytes, "write", elapsed))},
                    {fmt::to_string(device.in_flight)},
                    {latency_text(then, device, "all")},
                    {latency_text(then, device, "wait")},
                    {latency_text(then, device, "host")},
                    {latency_text(then, device, "grant")},
                    {fmt::to_string(errors), errors == 0 ? Color::None : Color::Red},
                    {fmt::to_string(device.restarts), device.restarts == 0 ? Color::None : Color::Yellow},
                    {device.state_reason}});
  }
  return render_table({{"DEVICE"},
                       {"STATE"},
                       {"READS/S", Align::Right},
                       {"WRITES/S", Align::Right},
                       {"READ", Align::Right},
                       {"WRITTEN", Align::Right},
                       {"IN FLIGHT", Align::Right},
                       {"P50 / P99", Align::Right},
                       {"WAITING", Align::Right},
                       {"IN THE HOST", Align::Right},
                       {"BY GRANT", Align::Right},
                       {"ERRORS", Align::Right},
                       {"RESTARTS", Align::Right},
                       {"REASON"}},
                      rows, screen.width, screen.colors);
}

nlohmann::json device_json(const Device& device) {
  nlohmann::json value = device.properties;
  value["device"] = device.key;
  return value;
}

std::string json_text(const nlohmann::json& value) {
  return value.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

}  // namespace bulkhead::tcmuctl
