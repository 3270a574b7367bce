// What tcmu.conf says of single devices: when a host counts as hung, and what happens to commands that no
// host can serve. Keys before the first section are for all devices; "[user_1/d0]" begins those of one.
// Pure; plain values.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "supervisor/config/config_file.h"
#include "supervisor/model/file_policy.h"

namespace bulkhead::supervisor {

// For the commands of a device that has failed.
enum class OnFailure : std::uint8_t {
  Hold,   // they wait, and get BUSY shortly before the kernel would give them up
  Error,  // they are answered NOT READY at once
};

// nullopt: nothing is said.
struct DeviceSettings {
  std::optional<std::chrono::seconds> hang_warn, hang_kill;  // 0: never
  std::optional<bool> hang_dump;
  // How long a host may take to open its back end, and to close it; instead of the manifest's.
  std::optional<std::chrono::seconds> open_limit, close_limit;
  std::optional<OnFailure> on_failure;
  std::optional<bool> io_grants;  // may commands be done without the host?
  // Of the next host that is started. 0 of the first two: no limit.
  std::optional<std::uint32_t> memory_mebibytes, processes, cpu_weight, io_weight;
  std::optional<std::string> host_cpus, host_memory_nodes;          // as cpuset has them; empty: all
  std::optional<std::uint32_t> busy_poll_usec;                      // the same
  std::optional<std::uint64_t> limit_iops, limit_bytes_per_second;  // 0: none
  std::optional<std::chrono::seconds> limit_burst;
  std::optional<std::vector<std::string>> required_walls;  // by their names in Sandbox
  // Of the next file that is opened.
  std::optional<std::vector<std::string>> file_roots;  // as in FilePolicy
  std::optional<Symlinks> file_symlinks;
  [[nodiscard]] FilePolicy file_policy() const {
    return {.roots = file_roots, .symlinks = file_symlinks.value_or(Symlinks::Follow)};
  }
  bool operator==(const DeviceSettings&) const = default;
};

class DevicePolicies {
 public:
  // `device`: "user_1/d0". What is not said of it is what is said of all.
  [[nodiscard]] DeviceSettings of(std::string_view device) const;

  // False: no key of a device.
  [[nodiscard]] static bool knows(std::string_view key);
  // Is this what a section may be called?
  [[nodiscard]] static bool names_device(std::string_view section);
  // An entry whose key is known, in no section or one that names a device. The complaint, or nothing.
  [[nodiscard]] std::string take(const ConfigEntry& entry);
  // What does not fit together, once all is taken; each names its section.
  [[nodiscard]] std::vector<std::string> doubts() const;
  bool operator==(const DevicePolicies&) const = default;

 private:
  DeviceSettings all_;
  std::map<std::string, DeviceSettings, std::less<>> devices_;
};

}  // namespace bulkhead::supervisor
