#include "handler-host/handlers/file/discard.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <cerrno>

namespace bulkhead::handler {
namespace {

// A hole behind the end changes no content and no size, but a file system that can't make holes says so. It
// may take back space somebody had allocated there with `fallocate --keep-size`, which holds nothing.
bool can_punch(const Backing& backing) {
  const std::uint64_t block = std::max<std::uint64_t>(backing.physical_block_bytes, 4096);
  const std::uint64_t behind = (backing.bytes / block + 1) * block;
  return ::fallocate(backing.fd.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(behind),
                     static_cast<off_t>(block)) == 0;
}

// The kernel asks first whether the device can discard (EOPNOTSUPP), then whether the range is aligned
// (EINVAL). One byte at offset one never is, in any version, so this can't discard anything.
bool can_discard(const Backing& backing) {
  std::uint64_t range[2] = {1, 1};
  return ::ioctl(backing.fd.get(), BLKDISCARD, range) != 0 && errno == EINVAL;
}

}  // namespace

DiscardAbility find_discard(const Backing& backing) {
  if (backing.kind == BackingKind::RegularFile)
    return {
        .possible = can_punch(backing), .zeroes = true, .granularity_bytes = backing.physical_block_bytes};
  // What a device returns for discarded blocks is its own affair.
  return {
      .possible = can_discard(backing), .zeroes = false, .granularity_bytes = backing.physical_block_bytes};
}

}  // namespace bulkhead::handler
