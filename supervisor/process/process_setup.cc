#include "supervisor/process/process_setup.h"

#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include <cerrno>
#include <filesystem>

#include "base/log.h"

namespace bulkhead::supervisor {

void become_io_server() {
  if (::mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) != 0)
    log(Level::Warning, {.sys_errno = errno},
        fmt::format(
            "memory can't be locked ({}): don't swap to a LUN of this machine's own; raise LimitMEMLOCK=",
            errno_text(errno)));
  if (::prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0) != 0)
    log(Level::Warning, {.sys_errno = errno},
        fmt::format("PR_SET_IO_FLUSHER: {}; loopback LUNs of this machine may stall when memory is short",
                    errno_text(errno)));
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
