#include "supervisor/broker/grant_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include <cerrno>
#include <cstddef>
#include <utility>

#include "base/memory_file.h"

namespace bulkhead::supervisor {
namespace {

// Network file systems and FUSE don't know the flag; neither does a tmpfs, in many kernels.
bool knows_nowait(const UniqueFd& file) {
  std::byte byte{};
  const iovec one{&byte, 1};
  return ::preadv2(file.get(), &one, 1, 0, RWF_NOWAIT) >= 0 || errno == EAGAIN;
}

}  // namespace

Result<FileForGrant> open_for_grant(const UniqueFd& file, bool direct) {
  const bool in_memory = !knows_nowait(file);
  if (in_memory && (direct || !lies_in_memory(file.get())))
    return fail(Cause::Denied, EOPNOTSUPP, "its file system can't be asked without waiting");
  const int flags = direct ? O_RDONLY | O_DIRECT : O_RDWR;
  UniqueFd own(::open(fmt::format("/proc/self/fd/{}", file.get()).c_str(), flags | O_CLOEXEC));
  struct stat status{};
  if (!own || ::fstat(own.get(), &status) != 0)
    return fail_errno(errno, "open a backing file for an I/O grant");
  return FileForGrant{std::move(own), in_memory, S_ISBLK(status.st_mode)};
}

}  // namespace bulkhead::supervisor
