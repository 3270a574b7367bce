#include "supervisor/broker/grant_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/magic.h>
#include <sys/statfs.h>
#include <sys/uio.h>

#include <cerrno>
#include <cstddef>
#include <utility>

namespace bulkhead::supervisor {
namespace {

// Network file systems and FUSE don't know the flag; neither does a tmpfs, in many kernels.
bool knows_nowait(const UniqueFd& file) {
  std::byte byte{};
  const iovec one{&byte, 1};
  return ::preadv2(file.get(), &one, 1, 0, RWF_NOWAIT) >= 0 || errno == EAGAIN;
}

bool lies_in_memory(const UniqueFd& file) {
  struct statfs system{};
  return ::fstatfs(file.get(), &system) == 0 &&
         (system.f_type == TMPFS_MAGIC || system.f_type == RAMFS_MAGIC);
}

}  // namespace

Result<FileForGrant> open_for_grant(const UniqueFd& file) {
  const bool in_memory = !knows_nowait(file);
  if (in_memory && !lies_in_memory(file))
    return fail(Cause::Denied, EOPNOTSUPP, "its file system can't be asked without waiting");
  UniqueFd own(::open(fmt::format("/proc/self/fd/{}", file.get()).c_str(), O_RDWR | O_CLOEXEC));
  if (!own) return fail_errno(errno, "open a backing file for an I/O grant");
  return FileForGrant{std::move(own), in_memory};
}

}  // namespace bulkhead::supervisor
