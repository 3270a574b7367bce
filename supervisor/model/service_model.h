// The border between the supervisor's devices and whoever shows or steers them (D-Bus).
// Plain values and one interface each way; the bus layer includes nothing else of the supervisor.
// Threads: the control thread only.
#pragma once

#include <array>
#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "proto/opcode_facts.h"
#include "supervisor/model/device_state.h"
#include "supervisor/model/walls.h"

namespace bulkhead::supervisor {

// Which device: "user_1/d0". Unique among the living; a removed device's key may come back for another one.
struct DeviceKey {
  std::string hba;   // user_N
  std::string name;  // of the backstore
  auto operator<=>(const DeviceKey&) const = default;
  [[nodiscard]] std::string text() const { return hba + "/" + name; }
};

// Counts since a supervisor began to serve the device; one that adopts its host goes on counting.
struct KindCounts {
  std::uint64_t commands = 0;  // answered
  std::uint64_t bytes = 0;     // moved by GOOD answers
  std::uint64_t errors = 0;    // answered with anything but GOOD
};

struct LatencySummary {  // microseconds from taking the command out of the ring to its answer
  std::uint64_t p50 = 0, p90 = 0, p99 = 0, p999 = 0, max = 0;
  std::uint64_t host_p50 = 0, host_p99 = 0;  // of it, from giving the command to the host
};

// How many commands took at most so long (microseconds) and longer than the entry before says; only what was
// counted.
using LatencyCounts = std::vector<std::pair<std::uint64_t, std::uint64_t>>;

// 0: no limit.
struct DeviceLimits {
  std::uint64_t iops = 0;
  std::uint64_t bytes_per_second = 0;
  bool operator==(const DeviceLimits&) const = default;
};

struct DeviceReport {
  DeviceKey key;
  std::string subtype;
  std::string config;  // dev_config as configfs has it, with the subtype
  std::uint32_t uio_minor = 0;
  std::string wwn;  // unit serial; empty if not set (yet)
  std::uint64_t size_bytes = 0;
  std::uint32_t block_bytes = 0;
  bool read_only = false;
  bool write_cache = false;
  DeviceState state = DeviceState::Discovered;
  std::string state_reason;            // for people; empty when all is well
  std::uint64_t state_since_usec = 0;  // CLOCK_REALTIME
  std::int32_t host_pid = 0;           // 0: none now
  std::uint64_t host_since_usec = 0;
  std::uint32_t host_uid = 0;
  std::uint64_t restarts = 0;        // hosts started after the first one
  std::uint64_t adoptions = 0;       // supervisors that went on with a host of an earlier one
  std::uint64_t deaths = 0;          // hosts that ended unasked while they served
  std::uint64_t watchdog_kills = 0;  // of these, those that had stopped working
  Walls sandbox;                     // around the present host
  std::string last_exit;             // how the last host ended, e.g. "killed by SIGKILL"; empty: none did
  std::uint32_t in_flight = 0;
  std::uint64_t oldest_command_usec = 0;                 // age; 0: none in flight
  std::array<KindCounts, kCommandKinds> kinds{};         // by CommandKind
  std::map<std::string, std::uint64_t> errors_by_sense;  // e.g. "medium error": 2; "busy": 1
  std::uint64_t replayed = 0;                            // commands given to a second host
  std::uint64_t expired = 0;             // commands older than the kernel's timeout: answered, not run
  std::uint64_t poisoned = 0;            // commands that ended several hosts: answered with HARDWARE ERROR
  std::uint64_t longest_stall_usec = 0;  // longest time commands waited for a new host
  std::uint64_t limit_iops = 0, limit_bytes_per_second = 0;  // 0: no limit
  std::string limits_from;                                   // "tcmu.conf", "SetLimits"
  std::uint64_t throttled = 0;                               // commands that waited for these limits
  std::uint64_t throttled_usec = 0;                          // how long, all together
  std::uint64_t aborts = 0;            // task management that aborts commands (ABORT TASK and the like)
  std::uint64_t resets = 0;            // that resets the logical unit
  std::uint64_t aborted_commands = 0;  // by either, while they were under way
  std::string io_grants;               // "granted", or why not
  std::map<std::string, std::uint64_t>
      granted;  // commands done without the host: read, write, flush; in vain
  LatencySummary latency;
  std::map<std::string, LatencyCounts>
      latency_histograms;  // by part of the way: "all", "wait", "host", "grant"
  std::map<std::string, std::uint64_t> handler_counters;
};

struct HandlerReport {
  std::string subtype;
  std::string name;
  std::string config_description;
  std::string library;   // path of the shared object; empty for an external handler
  std::string bus_name;  // of an external handler's owner; empty for ours
  std::string problem;   // why it can't be used, e.g. a broken manifest; empty: usable
};

struct ConfigVerdict {
  bool valid = false;
  std::string message;  // "success" when valid
};

enum class CallerRights : std::uint8_t { Anyone, Root };

// What the bus may ask. Every operation ends within its deadline, whatever a host does.
class ServiceModel {
 public:
  virtual ~ServiceModel() = default;
  [[nodiscard]] virtual std::vector<HandlerReport> handlers() const = 0;
  [[nodiscard]] virtual std::vector<DeviceKey> devices() const = 0;
  [[nodiscard]] virtual std::optional<DeviceReport> device(const DeviceKey& key) const = 0;
  // Judged by a transient host. `config` is without the subtype and its slash. For a caller that is not root
  // nothing is opened: the answer would tell whether a file exists.
  virtual boost::asio::awaitable<ConfigVerdict> check_config(std::string subtype, std::string config,
                                                             CallerRights rights) = 0;
  // Replaces the host by a fresh one, commands in flight finished first if they can be.
  virtual boost::asio::awaitable<Result<>> restart(DeviceKey key) = 0;
  // Commands wait until resume(), or are answered BUSY shortly before attrib/cmd_time_out.
  virtual boost::asio::awaitable<Result<>> hold(DeviceKey key) = 0;
  virtual boost::asio::awaitable<Result<>> resume(DeviceKey key) = 0;
  // From now on these limits count instead of tcmu.conf's, for as long as the device is there; nullopt: again
  // those of tcmu.conf.
  virtual boost::asio::awaitable<Result<>> set_limits(DeviceKey key, std::optional<DeviceLimits> limits) = 0;
};

// Told of changes. Counters alone do not count as a change; the observer reads them when it wants.
class ServiceObserver {
 public:
  virtual ~ServiceObserver() = default;
  virtual void device_added(const DeviceKey& key) = 0;
  virtual void device_changed(const DeviceKey& key) = 0;
  virtual void device_removed(const DeviceKey& key) = 0;
  // Something a person may want to know: kind is a short name ("host-died", "open-failed", ...).
  virtual void event(const DeviceKey& key, std::string_view kind, std::string_view text) = 0;
};

}  // namespace bulkhead::supervisor
