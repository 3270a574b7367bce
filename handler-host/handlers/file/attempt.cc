#include "handler-host/handlers/file/attempt.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace bulkhead::handler {

int fallocate_mode(Work work) {
  return (work == Work::Punch ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE) | FALLOC_FL_KEEP_SIZE;
}

std::int64_t attempt(int fd, const Operation& operation) {
  const auto offset = static_cast<off_t>(operation.offset);
  iovec part{operation.at, operation.left};
  std::int64_t result = 0;
  switch (operation.work) {
    case Work::Read:
      result = ::preadv2(fd, &part, 1, offset, 0);
      break;
    case Work::Write:
      result = ::pwritev2(fd, &part, 1, offset, operation.durability == Durability::Durable ? RWF_DSYNC : 0);
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
  }
  return result < 0 ? -errno : result;
}

IoStatus status_of(Work work, int sys_errno) {
  switch (sys_errno) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
      return IoStatus::NoSpace;
    case EROFS:
    case EPERM:
    case EACCES:
    case EBADF:
      return work == Work::Read ? IoStatus::ReadError : IoStatus::WriteProtected;
    case EAGAIN:
    case ENOMEM:
    case ENOBUFS:
      return IoStatus::Busy;
    case EOPNOTSUPP:
      return work == Work::Read    ? IoStatus::ReadError
             : work == Work::Write ? IoStatus::WriteError
                                   : IoStatus::NotSupported;
    default:
      return work == Work::Read ? IoStatus::ReadError : IoStatus::WriteError;
  }
}

}  // namespace bulkhead::handler
