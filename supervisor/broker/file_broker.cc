#include "supervisor/broker/file_broker.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>

#include "base/printable.h"

namespace bulkhead::supervisor {
namespace {

std::string undo_escapes(std::string_view text) {
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    unsigned char byte = 0;
    const char* digits = text.data() + i + 1;
    if (text[i] == '%' && i + 2 < text.size() &&
        std::from_chars(digits, digits + 2, byte, 16).ptr == digits + 2) {
      plain += static_cast<char>(byte);
      i += 2;
    } else {
      plain += text[i];
    }
  }
  return plain;
}

bool names(std::string_view config, std::string_view path) {
  constexpr std::string_view kBefore = "/@=&;,:?", kAfter = "?&;,@";
  for (auto at = config.find(path); at != std::string_view::npos; at = config.find(path, at + 1)) {
    const auto end = at + path.size();
    if ((at == 0 || kBefore.contains(config[at - 1])) &&
        (end == config.size() || kAfter.contains(config[end])))
      return true;
  }
  return false;
}

// openat2 without magic links: /proc/PID/fd/N and the like would lead out of the file system.
Result<UniqueFd> open_plain(const std::string& path, std::uint64_t flags, std::uint64_t mode) {
  open_how how{.flags = flags | O_CLOEXEC, .mode = mode, .resolve = RESOLVE_NO_MAGICLINKS};
  UniqueFd fd(static_cast<int>(::syscall(SYS_openat2, AT_FDCWD, path.c_str(), &how, sizeof how)));
  if (!fd) return fail_errno(errno, printable(path));
  return fd;
}

Result<UniqueFd> create(const FileAsked& asked) {
  auto fd = open_plain(asked.path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
  if (!fd) return fd;
  if (::ftruncate(fd->get(), static_cast<off_t>(asked.create_bytes)) != 0) {
    const int why = errno;
    ::unlink(asked.path.c_str());
    return fail_errno(
        why, fmt::format("set the size of {} to {} bytes", printable(asked.path), asked.create_bytes));
  }
  return fd;
}

const char* kind_of(mode_t mode) {
  switch (mode & S_IFMT) {
    case S_IFDIR:
      return "a directory";
    case S_IFCHR:
      return "a character device";
    case S_IFIFO:
      return "a FIFO";
    case S_IFSOCK:
      return "a socket";
    default:
      return "no file";
  }
}

}  // namespace

bool config_names_path(std::string_view config, std::string_view path) {
  // An escape that decodes to nothing new leaves one string, so both readings are needed only when they
  // differ.
  return !path.empty() && path.front() == '/' && (names(config, path) || names(undo_escapes(config), path));
}

Result<UniqueFd> open_for_host(std::string_view config, const FileAsked& asked) {
  if (asked.path.size() >= 4096 || asked.path.contains('\0') || !config_names_path(config, asked.path))
    return fail(Cause::Denied, EACCES,
                fmt::format("{}: not named by the device's configuration string", printable(asked.path)));
  // Look before opening: opening a FIFO waits, opening a tape rewinds it.
  auto looked = open_plain(asked.path, O_PATH, 0);
  if (!looked && looked.error().sys_errno == ENOENT && asked.create_bytes > 0) return create(asked);
  if (!looked) return looked;
  struct stat status{};
  if (::fstat(looked->get(), &status) != 0) return fail_errno(errno, printable(asked.path));
  if (!S_ISREG(status.st_mode) && !S_ISBLK(status.st_mode))
    return fail(Cause::BadInput, S_ISDIR(status.st_mode) ? EISDIR : EINVAL,
                fmt::format("{} is {}; name a regular file or a block device", printable(asked.path),
                            kind_of(status.st_mode)));
  const std::string again = fmt::format("/proc/self/fd/{}", looked->get());
  UniqueFd fd(::open(again.c_str(), (asked.writable ? O_RDWR : O_RDONLY) | O_CLOEXEC));
  if (!fd) return fail_errno(errno, printable(asked.path));
  return fd;
}

}  // namespace bulkhead::supervisor
