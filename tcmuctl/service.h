// The supervisor as tcmuctl sees it: its devices and handlers, and what can be done to them.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tcmuctl/bus.h"
#include "tcmuctl/failure.h"
#include "tcmuctl/histogram.h"

namespace bulkhead::tcmuctl {

using Counts = std::map<std::string, std::uint64_t>;

// A property that a supervisor of another version does not have keeps its default here.
struct Device {
  std::string path;  // of the object
  std::string key;   // user_N/NAME
  std::string name, subtype, config, wwn, state, state_reason, last_exit, io_grants;
  std::uint64_t size = 0, state_since = 0, host_since = 0, restarts = 0, adoptions = 0;
  std::uint64_t oldest_command_usec = 0, deaths = 0, watchdog_kills = 0, expired = 0, poisoned = 0;
  std::uint64_t replayed = 0, longest_stall_usec = 0, aborts = 0, resets = 0, aborted_commands = 0;
  std::string limits_from;
  std::uint64_t limit_iops = 0, limit_bytes_per_second = 0, throttled = 0, throttled_usec = 0;
  std::uint32_t block_size = 0, host_pid = 0, host_uid = 0, in_flight = 0, uio_minor = 0;
  bool read_only = false, write_cache = false;
  std::map<std::string, std::string> sandbox;  // wall and its state
  Counts commands, bytes, errors, errors_by_sense, latency_usec, handler_counters, granted;
  std::map<std::string, Histogram> latency_histograms;  // by part of the way
  nlohmann::json properties;                            // as they came
};

struct Handler {
  std::string subtype, name, config_description, library, bus_name, problem;
  nlohmann::json properties;
};

struct Inventory {
  std::vector<Device> devices;    // by key
  std::vector<Handler> handlers;  // by subtype
};

// From GetManagedObjects' answer. Objects with other interfaces are passed over.
[[nodiscard]] Inventory inventory_of(const nlohmann::json& managed_objects);

// The device meant by NAME or user_N/NAME. Failures: NotFound, Ambiguous; the text names the candidates.
[[nodiscard]] Outcome<Device> find_device(const Inventory& inventory, const std::string& wanted);

[[nodiscard]] Outcome<Inventory> read_inventory(Bus& bus);
// "Restart", "Hold", "SetLimits" and the like.
[[nodiscard]] Outcome<> operate(Bus& bus, const Device& device, const std::string& method,
                                const Bus::Arguments& arguments = {});
// The message that goes with a valid config string. Failures: InvalidConfig with the reason; NotFound: no
// such handler.
[[nodiscard]] Outcome<std::string> check_config(Bus& bus, const std::string& subtype_and_config);

}  // namespace bulkhead::tcmuctl
