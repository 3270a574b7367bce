#include "supervisor/configfs/attribute_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>

#include "base/printable.h"
#include "base/unique_fd.h"

namespace bulkhead::supervisor {
namespace {

constexpr std::size_t kMaxAttribute = 64 * 1024;  // configfs gives 4 KiB at most, sysfs a page

}  // namespace

Result<std::string> read_attribute(const std::string& path) {
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return fail_errno(errno, "open " + printable(path));
  std::string value;
  for (;;) {
    char buffer[4096];
    const ssize_t got = ::read(file.get(), buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail_errno(errno, "read " + printable(path));
    if (got == 0) break;
    value.append(buffer, static_cast<std::size_t>(got));
    if (value.size() > kMaxAttribute)
      return fail(Cause::BadInput, EFBIG, printable(path) + ": more than 64 KiB");
  }
  if (value.ends_with('\n')) value.pop_back();
  return value;
}

Result<> write_attribute(const std::string& path, std::string_view value) {
  const std::string doing = fmt::format("write \"{}\" to {}", printable(value), printable(path));
  const UniqueFd file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!file) return fail_errno(errno, doing);
  const ssize_t wrote = ::write(file.get(), value.data(), value.size());
  if (wrote < 0) return fail_errno(errno, doing);
  if (static_cast<std::size_t>(wrote) != value.size())
    return fail(Cause::Backend, EIO, doing + ": cut short");
  return {};
}

}  // namespace bulkhead::supervisor
