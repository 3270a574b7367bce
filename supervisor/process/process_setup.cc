#include "supervisor/process/process_setup.h"

#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include <cerrno>
#include <filesystem>
#include <utility>

namespace bulkhead::supervisor {

namespace {

// Only with an unlimited allowance: else, without CAP_IPC_LOCK, every later mmap() would count in full
// against it and fail.
Result<> lock_memory() {
  rlimit allowance{RLIM_INFINITY, RLIM_INFINITY};
  if (::setrlimit(RLIMIT_MEMLOCK, &allowance) == 0 && ::mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) == 0)
    return {};
  return fail(Cause::Denied, errno,
              fmt::format("memory can't be locked ({}): don't swap to a LUN of this machine's own; raise "
                          "LimitMEMLOCK=",
                          errno_text(errno)));
}

}  // namespace

std::vector<Error> become_io_server() {
  std::vector<Error> missing;
  if (auto locked = lock_memory(); !locked) missing.push_back(std::move(locked.error()));
  if (::prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0) != 0)
    missing.push_back(system_error(
        errno, "PR_SET_IO_FLUSHER; loopback LUNs of this machine may stall when memory is short"));
  return missing;
}

Result<> raise_open_files(std::optional<std::uint64_t> wanted) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return fail_errno(errno, "read the limit of open files");
  const rlim_t target = wanted ? static_cast<rlim_t>(*wanted) : limit.rlim_max;
  if (limit.rlim_cur >= target) return {};
  limit.rlim_cur = target;
  if (limit.rlim_max < target) limit.rlim_max = target;
  if (::setrlimit(RLIMIT_NOFILE, &limit) != 0)
    return fail_errno(errno, fmt::format("raise the limit of open files to {}", target));
  return {};
}

std::string library_folder() {
  std::error_code error;
  const auto program = std::filesystem::read_symlink("/proc/self/exe", error);
  const auto prefix = error ? std::filesystem::path("/usr") : program.parent_path().parent_path();
  return (prefix / "lib" / "tcmu-bulkhead").string();
}

}  // namespace bulkhead::supervisor
