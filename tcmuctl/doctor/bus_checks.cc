#include "tcmuctl/doctor/bus_checks.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>

#include "proto/bus_names.h"

namespace bulkhead::tcmuctl {
namespace {

using nlohmann::json;
namespace names = bulkhead::bus;

constexpr const char* kDaemon = "org.freedesktop.DBus";
constexpr const char* kDaemonPath = "/org/freedesktop/DBus";
constexpr const char* kProbe = "org.kernel.TCMUService1.HandlerManager1.tcmuctl_doctor";

std::string command_of(std::uint32_t pid) {
  std::ifstream file(fmt::format("/proc/{}/comm", pid));
  std::string command;
  std::getline(file, command);
  return command;
}

}  // namespace

BusFacts ask_bus(const std::string& address) {
  BusFacts facts;
  Outcome<Bus> bus = Bus::open(address);
  Outcome<json> activatable = bus ? bus->call(kDaemon, kDaemonPath, kDaemon, "ListActivatableNames")
                                  : Outcome<json>(std::unexpected(bus.error()));
  if (!activatable) {
    facts.no_bus = activatable.error().text;
    return facts;
  }
  facts.activatable = std::ranges::find(*activatable, json(names::kServiceName)) != activatable->end();
  Outcome<json> pid =
      bus->call(kDaemon, kDaemonPath, kDaemon, "GetConnectionUnixProcessID", {names::kServiceName});
  if (pid && pid->is_number_unsigned()) {
    facts.owner_pid = pid->get<std::uint32_t>();
    facts.owner_command = command_of(*facts.owner_pid);
  }
  // Root may own handlers' names by our policy file, and by no other.
  if (::geteuid() == 0) facts.denied = !bus->may_own(kProbe).value_or(true);
  Outcome<Inventory> inventory = read_inventory(*bus);
  if (inventory) {
    facts.inventory = std::move(*inventory);
  } else {
    facts.denied |= inventory.error().code == ExitCode::Denied;
    facts.owner_mute = inventory.error().code == ExitCode::TimedOut;
  }
  return facts;
}

Findings check_bus(const BusFacts& facts) {
  if (!facts.no_bus.empty())
    return {{Health::Problem, fmt::format("The system bus can't be reached: {}.", facts.no_bus),
             "systemctl start dbus"}};
  Findings findings;
  if (!facts.activatable)
    findings.push_back(
        {Health::Problem,
         "The bus can't start the supervisor on demand: it does not know the name as activatable.",
         "systemctl reload dbus; if that changes nothing, reinstall tcmu-bulkhead"});
  if (facts.denied) {
    findings.push_back({Health::Problem,
                        "The bus lets the supervisor own no name: its policy file is not in force.",
                        "systemctl reload dbus"});
  } else if (!facts.owner_pid) {
    findings.push_back({Health::Problem,
                        "The supervisor is not running: nobody owns org.kernel.TCMUService1.",
                        "systemctl start tcmu-supervisor; journalctl -u tcmu-supervisor says why it ended"});
  } else if (facts.owner_mute) {
    findings.push_back({Health::Problem,
                        fmt::format("The supervisor (pid {}) does not answer within 5 s.", *facts.owner_pid),
                        "journalctl -u tcmu-supervisor; systemctl restart tcmu-supervisor"});
  } else if (!facts.inventory) {
    findings.push_back({Health::Problem,
                        fmt::format("The bus name belongs to another daemon: pid {} ({}).", *facts.owner_pid,
                                    facts.owner_command),
                        "stop it (is it tcmu-runner?), then systemctl start tcmu-supervisor"});
  } else {
    findings.push_back({Health::Good, fmt::format("The supervisor runs as pid {}.", *facts.owner_pid), ""});
  }
  return findings;
}

Findings check_inventory(const BusFacts& facts) {
  Findings findings;
  if (!facts.inventory) return findings;
  for (const Handler& handler : facts.inventory->handlers)
    if (!handler.problem.empty())
      findings.push_back({Health::Problem,
                          fmt::format("Handler '{}' can't be used: {}", handler.subtype, handler.problem),
                          "repair or reinstall it, then systemctl restart tcmu-supervisor"});
  for (const Device& device : facts.inventory->devices) {
    if (device.state == "failed")
      findings.push_back(
          {Health::Problem, fmt::format("Device {} is not served: {}", device.key, device.state_reason),
           fmt::format("remove the cause; it is tried again by itself, or at once by 'tcmuctl restart {}'",
                       device.key)});
    if (device.state == "held")
      findings.push_back({Health::Notice, fmt::format("Device {} is held: its commands wait.", device.key),
                          fmt::format("tcmuctl resume {}", device.key)});
  }
  if (findings.empty())
    findings.push_back(
        {Health::Good, fmt::format("All {} devices are in order.", facts.inventory->devices.size()), ""});
  return findings;
}

}  // namespace bulkhead::tcmuctl
