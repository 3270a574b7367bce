#include "tcmuctl/service.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "base/printable.h"
#include "proto/bus_names.h"

namespace bulkhead::tcmuctl {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;
namespace names = bulkhead::bus;

// A restart lets commands in flight end and opens the backstore anew.
constexpr std::chrono::seconds kOperationDeadline = 90s;
constexpr std::chrono::seconds kCheckDeadline = 30s;

// What is there and has the right type.
template <class T>
void take(const json& properties, const char* name, T& into) {
  auto found = properties.find(name);
  if (found == properties.end()) return;
  if constexpr (std::is_same_v<T, std::string>) {
    if (found->is_string()) into = found->template get<std::string>();
  } else if constexpr (std::is_same_v<T, bool>) {
    if (found->is_boolean()) into = found->template get<bool>();
  } else if constexpr (std::is_same_v<T, Counts>) {
    for (const auto& entry : found->items())
      if (entry.value().is_number_unsigned()) into[entry.key()] = entry.value().template get<std::uint64_t>();
  } else if constexpr (std::is_same_v<T, std::map<std::string, std::string>>) {
    for (const auto& entry : found->items())
      if (entry.value().is_string()) into[entry.key()] = entry.value().template get<std::string>();
  } else if (found->is_number_unsigned()) {
    into = found->template get<T>();
  }
}

// Pairs of numbers, by name.
void take(const json& properties, const char* name, std::map<std::string, Histogram>& into) {
  const auto found = properties.find(name);
  if (found == properties.end()) return;
  for (const auto& entry : found->items())
    for (const json& pair : entry.value())
      if (pair.is_array() && pair.size() == 2 && pair[0].is_number_unsigned() && pair[1].is_number_unsigned())
        into[entry.key()][pair[0].get<std::uint64_t>()] = pair[1].get<std::uint64_t>();
}

Device device_of(const std::string& path, const json& properties) {
  Device device;
  std::string hba;
  device.path = path;
  device.properties = properties;
  take(properties, "Hba", hba);
  take(properties, "Name", device.name);
  device.key = hba + "/" + device.name;
  take(properties, "Subtype", device.subtype);
  take(properties, "Config", device.config);
  take(properties, "WWN", device.wwn);
  take(properties, "State", device.state);
  take(properties, "StateReason", device.state_reason);
  take(properties, "LastExit", device.last_exit);
  take(properties, "Sandbox", device.sandbox);
  take(properties, "IoGrants", device.io_grants);
  take(properties, "GrantedCommands", device.granted);
  take(properties, "Size", device.size);
  take(properties, "StateSince", device.state_since);
  take(properties, "HostSince", device.host_since);
  take(properties, "Restarts", device.restarts);
  take(properties, "Adoptions", device.adoptions);
  take(properties, "OldestCommandUsec", device.oldest_command_usec);
  take(properties, "Deaths", device.deaths);
  take(properties, "WatchdogKills", device.watchdog_kills);
  take(properties, "Replayed", device.replayed);
  take(properties, "Expired", device.expired);
  take(properties, "Poisoned", device.poisoned);
  take(properties, "LongestStallUsec", device.longest_stall_usec);
  take(properties, "LimitIops", device.limit_iops);
  take(properties, "LimitBytesPerSecond", device.limit_bytes_per_second);
  take(properties, "LimitsFrom", device.limits_from);
  take(properties, "Throttled", device.throttled);
  take(properties, "ThrottledUsec", device.throttled_usec);
  take(properties, "Aborts", device.aborts);
  take(properties, "Resets", device.resets);
  take(properties, "AbortedCommands", device.aborted_commands);
  take(properties, "BlockSize", device.block_size);
  take(properties, "HostPid", device.host_pid);
  take(properties, "HostUid", device.host_uid);
  take(properties, "InFlight", device.in_flight);
  take(properties, "UioMinor", device.uio_minor);
  take(properties, "ReadOnly", device.read_only);
  take(properties, "WriteCache", device.write_cache);
  take(properties, "Commands", device.commands);
  take(properties, "Bytes", device.bytes);
  take(properties, "Errors", device.errors);
  take(properties, "ErrorsBySense", device.errors_by_sense);
  take(properties, "LatencyUsec", device.latency_usec);
  take(properties, "LatencyHistograms", device.latency_histograms);
  take(properties, "HandlerCounters", device.handler_counters);
  return device;
}

Handler handler_of(const json& properties) {
  Handler handler;
  handler.properties = properties;
  take(properties, "Subtype", handler.subtype);
  take(properties, "Name", handler.name);
  take(properties, "ConfigDescription", handler.config_description);
  take(properties, "Library", handler.library);
  take(properties, "BusName", handler.bus_name);
  take(properties, "Problem", handler.problem);
  return handler;
}

}  // namespace

Inventory inventory_of(const json& managed_objects) {
  Inventory inventory;
  if (!managed_objects.is_object()) return inventory;
  for (const auto& [path, interfaces] : managed_objects.items()) {
    if (interfaces.contains(names::kDeviceInterface))
      inventory.devices.push_back(device_of(path, interfaces.at(names::kDeviceInterface)));
    if (interfaces.contains(names::kHandlerInterface))
      inventory.handlers.push_back(handler_of(interfaces.at(names::kHandlerInterface)));
  }
  std::ranges::sort(inventory.devices, {}, &Device::key);
  std::ranges::sort(inventory.handlers, {}, &Handler::subtype);
  return inventory;
}

Outcome<Device> find_device(const Inventory& inventory, const std::string& wanted) {
  std::vector<const Device*> found;
  for (const Device& device : inventory.devices) {
    if (device.key == wanted) return device;
    if (device.name == wanted) found.push_back(&device);
  }
  if (found.size() == 1) return *found.front();
  std::string keys;
  for (const Device* device : found) keys += (keys.empty() ? "" : ", ") + printable(device->key);
  if (found.empty())
    return std::unexpected(Failure{
        ExitCode::NotFound, fmt::format("no device '{}'; 'tcmuctl list' shows them", printable(wanted))});
  return std::unexpected(
      Failure{ExitCode::Ambiguous,
              fmt::format("several devices are called '{}', say which: {}", printable(wanted), keys)});
}

Outcome<Inventory> read_inventory(Bus& bus) {
  Outcome<json> objects =
      bus.call(names::kServiceName, names::kDevicesRoot, names::kObjectManagerInterface, "GetManagedObjects");
  if (!objects) return std::unexpected(objects.error());
  return inventory_of(*objects);
}

Outcome<> operate(Bus& bus, const Device& device, const std::string& method,
                  const Bus::Arguments& arguments) {
  Outcome<json> done = bus.call(names::kServiceName, device.path, names::kDeviceInterface, method, arguments,
                                kOperationDeadline);
  if (done) return {};
  Failure failure = done.error();
  // The supervisor says why, and what would help; the bus's own refusal is about messages and policies.
  if (failure.code == ExitCode::Denied && failure.text.find("for root only") == std::string::npos)
    failure.text = fmt::format("{} of {} is for root only", method, device.key);
  return std::unexpected(failure);
}

Outcome<std::string> check_config(Bus& bus, const std::string& subtype_and_config) {
  std::string subtype = subtype_and_config.substr(0, subtype_and_config.find('/'));
  Outcome<Inventory> inventory = read_inventory(bus);
  if (!inventory) return std::unexpected(inventory.error());
  std::string known;
  for (const Handler& handler : inventory->handlers) known += (known.empty() ? "" : ", ") + handler.subtype;
  if (std::ranges::find(inventory->handlers, subtype, &Handler::subtype) == inventory->handlers.end())
    return std::unexpected(Failure{
        ExitCode::NotFound,
        fmt::format("no handler '{}'; there is {}", printable(subtype), known.empty() ? "none" : known)});
  Outcome<json> verdict =
      bus.call(names::kServiceName, std::string(names::kLegacyRoot) + "/" + subtype, names::kLegacyInterface,
               "CheckConfig", {subtype_and_config}, kCheckDeadline);
  if (!verdict) return std::unexpected(verdict.error());
  if (!verdict->is_array() || verdict->size() != 2 || !verdict->at(0).is_boolean() ||
      !verdict->at(1).is_string())
    return std::unexpected(Failure{ExitCode::Failed, "CheckConfig answered something else than (b, s)"});
  std::string message = verdict->at(1).get<std::string>();
  if (!verdict->at(0).get<bool>()) return std::unexpected(Failure{ExitCode::InvalidConfig, message});
  return message;
}

}  // namespace bulkhead::tcmuctl
