#include "handler-host/handlers/file/discard.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <limits>
#include <string>

#include "base/unique_fd.h"

namespace bulkhead::handler {
namespace {

constexpr std::uint32_t kPage = 4096;
constexpr std::uint32_t kLargestBlock = 65536;  // of a Linux file system

bool punch(const Backing& backing, std::uint64_t at, std::uint64_t bytes) {
  return ::fallocate(backing.fd.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(at),
                     static_cast<off_t>(bytes)) == 0;
}

// A hole in the file. Where it is reserved space that was never written, the reservation goes.
struct Hole {
  std::uint64_t at = 0;
  std::uint64_t bytes = 0;  // 0: there is none
};
Hole find_hole(const Backing& backing) {
  const off_t at = ::lseek(backing.fd.get(), 0, SEEK_HOLE);
  if (at < 0 || static_cast<std::uint64_t>(at) >= backing.bytes) return {};
  const off_t end = ::lseek(backing.fd.get(), at, SEEK_DATA);
  if (end < 0 && errno != ENXIO) return {};
  const std::uint64_t limit = end < 0 ? backing.bytes : static_cast<std::uint64_t>(end);
  return {static_cast<std::uint64_t>(at), limit - std::min(limit, static_cast<std::uint64_t>(at))};
}

// A hole behind the end changes no content and no size, but a file system that can't make holes says so. It
// may take back space somebody had allocated there with `fallocate --keep-size`, which holds nothing. Behind
// a file as large as files can be there is no such place; a hole within it does as well.
bool can_punch(const Backing& backing) {
  const std::uint64_t block = std::max(backing.physical_block_bytes, kPage);
  const std::uint64_t behind = (backing.bytes / block + 1) * block;
  constexpr auto kLargest = static_cast<std::uint64_t>(std::numeric_limits<off_t>::max());
  if (behind <= kLargest - block) {
    if (punch(backing, behind, block)) return true;
    if (errno != EFBIG) return false;
  }
  const Hole hole = find_hole(backing);
  return hole.bytes > 0 && punch(backing, hole.at, std::min(hole.bytes, block));
}

// What can't be written can't be probed either; a hole says that the file system has holes.
bool has_hole(const Backing& backing) {
  return find_hole(backing).bytes > 0;
}

// What a file system allocates, and so gives back, at a time: its block, not st_blksize, which is the size of
// transfers it likes (NFS: wsize; XFS: the stripe or more). Files of XFS's realtime section have larger
// extents, and there st_blksize tells them. NFS gives its wsize for a block, too: no block is that large.
std::uint32_t file_granularity(const Backing& backing) {
  struct statvfs all{};
  if (::fstatvfs(backing.fd.get(), &all) != 0) return backing.physical_block_bytes;
  const std::uint64_t block = all.f_frsize != 0 && all.f_frsize <= kLargestBlock ? all.f_frsize : kPage;
  fsxattr attributes{};
  struct stat file{};
  if (::ioctl(backing.fd.get(), FS_IOC_FSGETXATTR, &attributes) != 0 ||
      (attributes.fsx_xflags & FS_XFLAG_REALTIME) == 0 || ::fstat(backing.fd.get(), &file) != 0)
    return static_cast<std::uint32_t>(block);
  return static_cast<std::uint32_t>(
      std::max<std::uint64_t>(block, static_cast<std::uint64_t>(file.st_blksize)));
}

// The kernel asks first whether the device can discard (EOPNOTSUPP), then whether the range is aligned
// (EINVAL). One byte at offset one never is, in any version, so this can't discard anything.
bool can_discard(const Backing& backing) {
  std::uint64_t range[2] = {1, 1};
  return ::ioctl(backing.fd.get(), BLKDISCARD, range) != 0 && errno == EINVAL;
}

// There is no ioctl for these. 0: not known.
std::uint32_t device_attribute(const Backing& backing, const char* name) {
  struct stat status{};
  if (::fstat(backing.fd.get(), &status) != 0) return 0;
  const std::string path =
      fmt::format("/sys/dev/block/{}:{}/{}", major(status.st_rdev), minor(status.st_rdev), name);
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  char text[32];
  const ssize_t bytes = file ? ::read(file.get(), text, sizeof text) : 0;
  std::uint32_t value = 0;
  if (bytes > 0) std::from_chars(text, text + bytes, value);
  return value;
}

DiscardAbility of_file(const Backing& backing, bool read_only) {
  return {.possible = read_only ? has_hole(backing) : can_punch(backing),
          .zeroes = true,
          .granularity_bytes = file_granularity(backing)};
}

// What a device returns for discarded blocks is its own affair. A partition has its disk's queue.
DiscardAbility of_device(const Backing& backing, bool read_only) {
  if (read_only) return {};
  DiscardAbility ability{.possible = can_discard(backing), .zeroes = false};
  ability.granularity_bytes =
      std::max({device_attribute(backing, "queue/discard_granularity"),
                device_attribute(backing, "../queue/discard_granularity"), backing.physical_block_bytes});
  const std::uint32_t alignment = device_attribute(backing, "discard_alignment");
  if (alignment < ability.granularity_bytes) ability.alignment_bytes = alignment;
  return ability;
}

}  // namespace

DiscardAbility find_discard(const Backing& backing, bool read_only) {
  return backing.kind == BackingKind::RegularFile ? of_file(backing, read_only)
                                                  : of_device(backing, read_only);
}

}  // namespace bulkhead::handler
