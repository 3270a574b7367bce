#include "bench/path/process_cost.h"

#include <fmt/format.h>
#include <time.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <string>

namespace bulkhead::bench {

ProcessCost& ProcessCost::operator+=(const ProcessCost& other) {
  cpu_ns += other.cpu_ns;
  sleeps += other.sleeps;
  preemptions += other.preemptions;
  return *this;
}

ProcessCost ProcessCost::since(const ProcessCost& earlier) const {
  return {cpu_ns - earlier.cpu_ns, sleeps - earlier.sleeps, preemptions - earlier.preemptions};
}

Result<ProcessCost> cost_of(pid_t pid) {
  ProcessCost cost;
  // Not getrusage(): that knows only ourselves and children that have ended, and counts in ticks on some
  // kernels.
  clockid_t clock = 0;
  timespec used{};
  if (const int error = ::clock_getcpuclockid(pid, &clock); error != 0)
    return fail_errno(error == EPERM || error == ESRCH ? ENOENT : error,
                      fmt::format("processor time of process {}", pid));
  if (::clock_gettime(clock, &used) != 0)
    return fail_errno(errno, fmt::format("processor time of process {}", pid));
  cost.cpu_ns =
      static_cast<std::uint64_t>(used.tv_sec) * 1'000'000'000u + static_cast<std::uint64_t>(used.tv_nsec);
  std::error_code gone;
  for (const auto& thread : std::filesystem::directory_iterator(fmt::format("/proc/{}/task", pid), gone)) {
    std::ifstream status(thread.path() / "status");
    for (std::string name; status >> name;) {
      std::uint64_t value = 0;
      if (name == "voluntary_ctxt_switches:" && status >> value) cost.sleeps += value;
      if (name == "nonvoluntary_ctxt_switches:" && status >> value) cost.preemptions += value;
    }
  }
  return cost;
}

}  // namespace bulkhead::bench
