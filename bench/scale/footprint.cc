#include "bench/scale/footprint.h"

#include <fmt/format.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <string>

namespace bulkhead::bench {
namespace {

std::uint64_t entries_of(const std::string& folder) {
  std::uint64_t count = 0;
  std::error_code gone;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(folder, gone)) ++count;
  return count;
}

}  // namespace

Result<Footprint> footprint_of(pid_t pid) {
  const std::string folder = fmt::format("/proc/{}", pid);
  std::ifstream memory(folder + "/smaps_rollup");
  Footprint found{.threads = entries_of(folder + "/task"), .descriptors = entries_of(folder + "/fd")};
  for (std::string name; memory >> name;) {
    std::uint64_t kib = 0;
    if (name == "Pss:" && memory >> kib) found.pss_kib = kib;
    if (name.starts_with("Private_") && memory >> kib) found.private_kib += kib;
  }
  if (found.pss_kib == 0)
    return fail(Cause::NotFound, ENOENT, fmt::format("no memory of process {} is to be seen", pid));
  return found;
}

}  // namespace bulkhead::bench
