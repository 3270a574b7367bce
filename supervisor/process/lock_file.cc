#include "supervisor/process/lock_file.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <cerrno>
#include <fstream>

#include "base/printable.h"

namespace bulkhead::supervisor {
namespace {

std::string holder_of(const UniqueFd& fd) {
  struct flock lock{};
  lock.l_type = F_WRLCK;
  if (::fcntl(fd.get(), F_GETLK, &lock) != 0 || lock.l_type == F_UNLCK || lock.l_pid <= 0)
    return "another process";
  std::string name = "?";
  std::getline(std::ifstream(fmt::format("/proc/{}/comm", lock.l_pid)), name);
  return fmt::format("{} (pid {})", printable(name), lock.l_pid);
}

}  // namespace

Result<UniqueFd> take_lock_file(const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd) return fail_errno(errno, fmt::format("open the lock file {}", path));
  struct flock lock{};
  lock.l_type = F_WRLCK;
  if (::fcntl(fd.get(), F_SETLK, &lock) == 0) return fd;
  if (errno != EAGAIN && errno != EACCES) return fail_errno(errno, fmt::format("lock {}", path));
  return fail(
      Cause::Busy, EBUSY,
      fmt::format("a TCMU daemon runs already: {} holds {}; stop it first (systemctl stop tcmu-supervisor "
                  "tcmu-runner)",
                  holder_of(fd), path));
}

}  // namespace bulkhead::supervisor
