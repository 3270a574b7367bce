#include "supervisor/broker/file_broker.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>

#include "base/printable.h"
#include "supervisor/broker/forbidden_files.h"
#include "supervisor/broker/policy_open.h"

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

// Is it there as a whole, between one of `before` and one of `after` or at an end?
bool holds(std::string_view config, std::string_view path, std::string_view before, std::string_view after) {
  for (auto at = config.find(path); at != std::string_view::npos; at = config.find(path, at + 1)) {
    const auto end = at + path.size();
    if ((at == 0 || before.contains(config[at - 1])) && (end == config.size() || after.contains(config[end])))
      return true;
  }
  return false;
}

bool names(std::string_view config, std::string_view path) {
  return holds(config, path, "/@=&;,:?", "?&;,@");
}

Result<UniqueFd> create(const FileAsked& asked, const FilePolicy& policy) {
  const auto slash = asked.path.rfind('/');
  const std::string name = asked.path.substr(slash + 1);
  auto folder =
      open_by_policy(policy, asked.path.substr(0, std::max<std::size_t>(slash, 1)), O_PATH | O_DIRECTORY);
  if (!folder) return folder;
  UniqueFd fd(
      ::openat(folder->get(), name.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!fd) return fail_errno(errno, printable(asked.path));
  if (::ftruncate(fd.get(), static_cast<off_t>(asked.create_bytes)) != 0) {
    const int why = errno;
    ::unlinkat(folder->get(), name.c_str(), 0);
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

bool config_asks_to_share(std::string_view config) {
  return holds(config, "lock=off", "?&", "&");
}

Result<UniqueFd> open_for_host(std::string_view config, const FileAsked& asked, const FilePolicy& policy,
                               const SysRoot& root) {
  if (asked.path.size() >= 4096 || asked.path.contains('\0') || !config_names_path(config, asked.path))
    return fail(Cause::Denied, EACCES,
                fmt::format("{}: not named by the device's configuration string", printable(asked.path)));
  // Look before opening: opening a FIFO waits, opening a tape rewinds it.
  auto looked = open_by_policy(policy, asked.path, O_PATH);
  if (!looked && looked.error().sys_errno == ENOENT && asked.create_bytes > 0) return create(asked, policy);
  if (!looked) return looked;
  struct stat status{};
  if (::fstat(looked->get(), &status) != 0) return fail_errno(errno, printable(asked.path));
  if (!S_ISREG(status.st_mode) && !S_ISBLK(status.st_mode))
    return fail(Cause::BadInput, S_ISDIR(status.st_mode) ? EISDIR : EINVAL,
                fmt::format("{} is {}; name a regular file or a block device", printable(asked.path),
                            kind_of(status.st_mode)));
  if (auto allowed = refuse_forbidden(*looked, asked.path, root); !allowed)
    return std::unexpected(std::move(allowed.error()));
  const std::string again = fmt::format("/proc/self/fd/{}", looked->get());
  UniqueFd fd(::open(again.c_str(), (asked.writable ? O_RDWR : O_RDONLY) | O_CLOEXEC));
  if (!fd) return fail_errno(errno, printable(asked.path));
  return fd;
}

}  // namespace bulkhead::supervisor
