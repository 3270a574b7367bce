#include "handler-host/handlers/file/attempt.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace bulkhead::handler {
namespace {

// Durable when it returns: flags are for the vectored form alone.
ssize_t write_through(int fd, const Operation& operation) {
  const iovec part{operation.at, operation.left};
  return ::pwritev2(fd, &part, 1, static_cast<off_t>(operation.offset), RWF_DSYNC);
}

// The kernel's view, unflushed writes included: a dirty page over an extent that was allocated and never
// written (ext4, XFS) or over one not allocated yet counts as data, and tmpfs looks at its pages. Such an
// extent without dirty pages counts as a hole: it reads as zeroes. Moves the file offset, which nothing here
// uses. A file system that can't tell says that all is data.
std::int64_t find_run(int fd, std::uint64_t offset, std::uint64_t length, Run& run) {
  const auto from = static_cast<off_t>(offset);
  const off_t data = ::lseek(fd, from, SEEK_DATA);
  if (data < 0 && errno == ENXIO) {  // a hole, up to the end of the file
    run = {Provisioning::Deallocated, {length}};
    return 0;
  }
  if (data < 0) return -errno;
  if (data > from) {
    run = {Provisioning::Deallocated, {std::min(length, static_cast<std::uint64_t>(data - from))}};
    return 0;
  }
  const off_t hole = ::lseek(fd, from, SEEK_HOLE);
  if (hole < 0) return -errno;
  // Not ahead: somebody made a hole there just now.
  const std::uint64_t bytes = hole > from ? static_cast<std::uint64_t>(hole - from) : length;
  run = {Provisioning::Mapped, {std::min(length, bytes)}};
  return 0;
}

// st_blocks counts 512 bytes on every Linux file system. f_bavail: without what is reserved for root.
std::int64_t find_space(int fd, Space& space) {
  struct stat file{};
  struct statvfs all{};
  if (::fstat(fd, &file) != 0 || ::fstatvfs(fd, &all) != 0) return -errno;
  if (all.f_blocks == 0) return -EOPNOTSUPP;  // tmpfs without a limit, and what has no notion of it
  space.used = {static_cast<std::uint64_t>(file.st_blocks) * 512};
  space.available = {std::uint64_t{all.f_bavail} * all.f_frsize};
  return 0;
}

}  // namespace

int fallocate_mode(Work work) {
  return (work == Work::Punch ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE) | FALLOC_FL_KEEP_SIZE;
}

std::int64_t attempt(int fd, const Operation& operation) {
  const auto offset = static_cast<off_t>(operation.offset);
  std::int64_t result = 0;
  switch (operation.work) {
    case Work::Read:
      result = ::pread(fd, operation.at, operation.left, offset);
      break;
    case Work::Write:
      result = operation.durability == Durability::Durable
                   ? write_through(fd, operation)
                   : ::pwrite(fd, operation.at, operation.left, offset);
      break;
    case Work::Flush:
      result = ::fdatasync(fd);
      break;
    case Work::Punch:
    case Work::Zero:
      result = ::fallocate(fd, fallocate_mode(operation.work), offset, static_cast<off_t>(operation.left));
      break;
    case Work::Discard: {
      std::uint64_t range[2] = {operation.offset, operation.left};
      result = ::ioctl(fd, BLKDISCARD, range);
      break;
    }
    case Work::FindRun:
      return find_run(fd, operation.offset, operation.left, *operation.run);
    case Work::Space:
      return find_space(fd, *operation.space);
  }
  return result < 0 ? -errno : result;
}

IoStatus status_of(Work work, int sys_errno) {
  const bool reading = work == Work::Read || work == Work::FindRun || work == Work::Space;
  // Any other number is how some write back ended, whatever it says: "try again" or "not supported" would
  // have it forgotten.
  if (work == Work::Flush && sys_errno != ENOSPC && sys_errno != EDQUOT && sys_errno != EFBIG)
    return IoStatus::WriteError;
  switch (sys_errno) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
      return IoStatus::NoSpace;
    case EROFS:
    case EPERM:
    case EACCES:
    case EBADF:
      return reading ? IoStatus::ReadError : IoStatus::WriteProtected;
    case EAGAIN:
    case ENOMEM:
    case ENOBUFS:
      return IoStatus::Busy;
    case EOPNOTSUPP:
      return work == Work::Read    ? IoStatus::ReadError
             : work == Work::Write ? IoStatus::WriteError
                                   : IoStatus::NotSupported;
    default:
      return reading ? IoStatus::ReadError : IoStatus::WriteError;
  }
}

}  // namespace bulkhead::handler
