// The walls around a device's host: what it may use, what stands, and what has to.
#include <unistd.h>

#include <algorithm>

#include "supervisor/device/device.h"

namespace bulkhead::supervisor {
namespace {

constexpr std::uint64_t kMebibyte = 1 << 20;
// A file host needs 30 MiB; what is above is cache of its backstore, which is given back when it is short.
constexpr std::uint64_t kLeastMemory = 1024 * kMebibyte;
constexpr std::uint32_t kProcesses = 512;

std::uint64_t quarter_of_the_machine() {
  return static_cast<std::uint64_t>(::sysconf(_SC_PHYS_PAGES)) *
         static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE)) / 4;
}

}  // namespace

HostLimits Device::host_limits() const {
  const DeviceSettings settings = context_.policies.of(label_);
  HostLimits limits;
  limits.memory_bytes = settings.memory_mebibytes ? *settings.memory_mebibytes * kMebibyte
                                                  : std::max(kLeastMemory, quarter_of_the_machine());
  limits.processes = settings.processes.value_or(kProcesses);
  limits.cpu_weight = settings.cpu_weight.value_or(limits.cpu_weight);
  limits.io_weight = settings.io_weight.value_or(limits.io_weight);
  return limits;
}

}  // namespace bulkhead::supervisor
