#include "base/memory_file.h"

#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/statfs.h>

namespace bulkhead {

// fstatfs() of a device node tells of the file system that the node is in: /dev is a tmpfs.
bool lies_in_memory(int fd) {
  struct stat file{};
  struct statfs system{};
  return ::fstat(fd, &file) == 0 && S_ISREG(file.st_mode) && ::fstatfs(fd, &system) == 0 &&
         (system.f_type == TMPFS_MAGIC || system.f_type == RAMFS_MAGIC);
}

}  // namespace bulkhead
