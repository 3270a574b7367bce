#include "handler-host/handlers/file/backing.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <bit>
#include <cerrno>
#include <string_view>

#include "handler-host/handlers/cfgstring/cfgstring.h"

namespace bulkhead::handler {
namespace {

constexpr std::uint32_t kLargestPhysicalBlock = 65536;

std::string size_to_give(std::uint64_t lun_bytes) {
  return lun_bytes == 0 ? "SIZE" : std::to_string(lun_bytes);
}

// What to do about a file that did not open. `told` is the supervisor's own text.
Error open_error(const Error& told, const FileConfig& config, std::uint64_t lun_bytes) {
  const std::string path = shown(config.path);
  const std::string size = size_to_give(lun_bytes);
  switch (told.sys_errno) {
    case ENOENT:
      if (config.create)
        return {
            Cause::NotFound, ENOENT,
            fmt::format(
                "{} does not exist and is not made: create=on makes a file for a new LUN, in a folder that "
                "is there; check the folder, or bring the file back",
                path)};
      return {
          Cause::NotFound, ENOENT,
          fmt::format(
              "{} does not exist: create it with `truncate -s {} {}`, or add ?create=on to the config string",
              path, size, path)};
    case EACCES:
    case EROFS:
    case EPERM:
      if (config.read_only)
        return {Cause::Denied, told.sys_errno,
                fmt::format("{} can't be read ({}): check its permissions and those of the folders above it",
                            path, told.what)};
      return {Cause::Denied, told.sys_errno,
              fmt::format(
                  "{} can't be opened for writing ({}): make it writable, or serve it read-only with ?ro=on",
                  path, told.what)};
    case EISDIR:
      return {Cause::BadInput, EISDIR, fmt::format("{} is a directory: name a file or a block device", path)};
    case ENOTDIR:
      return {Cause::BadInput, ENOTDIR,
              fmt::format("{}: a part of the path before its last is no directory: check the path", path)};
    case ELOOP:
      return {Cause::BadInput, ELOOP,
              fmt::format("{}: links that lead nowhere, one of /proc, or one that file_symlinks in tcmu.conf "
                          "refuses: name the file itself",
                          path)};
    case ETXTBSY:
      return {
          Cause::Busy, ETXTBSY,
          fmt::format("{} is in use as swap or as a program: choose another file, or stop that use", path)};
    default:
      return {told.cause, told.sys_errno, fmt::format("{} can't be opened: {}", path, told.what)};
  }
}

std::string_view kind_name(mode_t mode) {
  if (S_ISDIR(mode)) return "a directory";
  if (S_ISFIFO(mode)) return "a FIFO";
  if (S_ISCHR(mode)) return "a character device";
  if (S_ISSOCK(mode)) return "a socket";
  return "something else";
}

std::unexpected<Error> ask_failed(const Backing& backing, std::string_view what) {
  const int number = errno;
  return fail_errno(number, fmt::format("{}: ask for its {}", shown(backing.path), what));
}

Result<> describe_device(Backing& backing) {
  const int fd = backing.fd.get();
  int logical = 0;
  unsigned physical = 0, optimal = 0;
  unsigned short rotational = 1;
  int misalignment = 0;
  int write_protected = 0;
  if (::ioctl(fd, BLKSSZGET, &logical) != 0) return ask_failed(backing, "block size");
  // The rest is advice: a device that does not tell it is served all the same.
  if (::ioctl(fd, BLKPBSZGET, &physical) != 0) physical = 0;
  if (::ioctl(fd, BLKALIGNOFF, &misalignment) != 0) misalignment = -1;
  if (::ioctl(fd, BLKIOOPT, &optimal) != 0) optimal = 0;
  if (::ioctl(fd, BLKROTATIONAL, &rotational) != 0) rotational = 1;
  if (::ioctl(fd, BLKROGET, &write_protected) != 0) write_protected = 0;
  backing.logical_block_bytes = static_cast<std::uint32_t>(logical);
  backing.physical_block_bytes = physical;
  // A disk writes a physical block in one piece. What a partition that starts within one counts as a block is
  // part of two.
  if (misalignment == 0 && std::has_single_bit(physical)) backing.atomic_bytes = physical;
  backing.optimal_bytes = optimal;
  backing.solid_state = rotational == 0;
  if (write_protected != 0 && (::fcntl(fd, F_GETFL) & O_ACCMODE) != O_RDONLY)
    return fail(
        Cause::Denied, EROFS,
        fmt::format("{} is write-protected: serve it read-only with ?ro=on, or allow writing with `blockdev "
                    "--setrw {}`",
                    shown(backing.path), shown(backing.path)));
  return {};
}

void describe_file(Backing& backing, const struct stat& status) {
  // Smaller writes than this cost the file system a read first. Whether the disk below writes as much in one
  // piece nothing tells, so atomic_bytes stays 0: STATX_WRITE_ATOMIC (Linux 6.11) does, but of writes with
  // RWF_ATOMIC alone.
  const auto block = static_cast<std::uint64_t>(status.st_blksize);
  if (std::has_single_bit(block) && block <= kLargestPhysicalBlock)
    backing.physical_block_bytes = static_cast<std::uint32_t>(block);
  struct statvfs all{};
  backing.tells_space = ::fstatvfs(backing.fd.get(), &all) == 0 && all.f_blocks != 0;
}

}  // namespace

Result<std::uint64_t> backing_bytes(const Backing& backing) {
  if (backing.kind == BackingKind::BlockDevice) {
    std::uint64_t bytes = 0;
    if (::ioctl(backing.fd.get(), BLKGETSIZE64, &bytes) != 0) return ask_failed(backing, "size");
    return bytes;
  }
  struct stat status{};
  if (::fstat(backing.fd.get(), &status) != 0) return ask_failed(backing, "size");
  return static_cast<std::uint64_t>(status.st_size);
}

Result<Backing> open_backing(Services& services, const FileConfig& config, std::uint64_t lun_bytes) {
  auto fd = services.open_file(FileRequest{
      .path = config.path, .writable = !config.read_only, .create_bytes = config.create ? lun_bytes : 0});
  if (!fd) return std::unexpected(open_error(fd.error(), config, lun_bytes));
  Backing backing;
  backing.fd = std::move(*fd);
  backing.path = config.path;
  struct stat status{};
  if (::fstat(backing.fd.get(), &status) != 0) return ask_failed(backing, "kind");
  if (!S_ISREG(status.st_mode) && !S_ISBLK(status.st_mode))
    return fail(Cause::BadInput, S_ISDIR(status.st_mode) ? EISDIR : EINVAL,
                fmt::format("{} is {}: name a file or a block device", shown(config.path),
                            kind_name(status.st_mode)));
  if (S_ISBLK(status.st_mode)) {
    backing.kind = BackingKind::BlockDevice;
    if (auto described = describe_device(backing); !described)
      return std::unexpected(std::move(described.error()));
  } else {
    describe_file(backing, status);
  }
  auto bytes = backing_bytes(backing);
  if (!bytes) return std::unexpected(std::move(bytes.error()));
  backing.bytes = *bytes;
  if (backing.bytes == 0)
    return fail(Cause::BadInput, EINVAL,
                backing.kind == BackingKind::BlockDevice
                    ? fmt::format("{} has no medium or no size: check the device", shown(config.path))
                    : fmt::format("{} is empty: give it a size with `truncate -s {} {}`", shown(config.path),
                                  size_to_give(lun_bytes), shown(config.path)));
  return backing;
}

Result<> check_fits(const Backing& backing, ByteCount size, std::uint32_t block_bytes) {
  const std::string path = shown(backing.path);
  if (backing.logical_block_bytes > block_bytes)
    return fail(
        Cause::BadInput, EINVAL,
        fmt::format("{} has blocks of {} bytes, the LUN asks for {}: create the LUN with hw_block_size={}",
                    path, backing.logical_block_bytes, block_bytes, backing.logical_block_bytes));
  if (backing.bytes >= size.value) return {};
  if (backing.kind == BackingKind::BlockDevice)
    return fail(Cause::BadInput, EINVAL,
                fmt::format("{} has {} bytes, the LUN {}: make the LUN smaller or the device larger", path,
                            backing.bytes, size.value));
  return fail(
      Cause::BadInput, EINVAL,
      fmt::format(
          "{} has {} bytes, the LUN {}: make the LUN smaller, or enlarge the file with `truncate -s {} "
          "{}`",
          path, backing.bytes, size.value, size.value, path));
}

}  // namespace bulkhead::handler
