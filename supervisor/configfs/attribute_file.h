// One-value files of sysfs and configfs, beneath a root that tests choose.
// Every call may block for as long as the kernel holds the file's locks (configfs does while it waits for our
// netlink reply): call it through BlockingPool, never on the control thread. Any thread.
#pragma once

#include <charconv>
#include <cstdint>
#include <string>
#include <string_view>
#include <system_error>

#include "base/error.h"

namespace bulkhead::supervisor {

// Where /sys and /proc are looked for: "" is the machine's own root.
struct SysRoot {
  std::string prefix{};
  [[nodiscard]] std::string path(std::string_view absolute) const { return prefix + std::string(absolute); }
};

// The value without the newline that the kernel ends it with. Errors: as open() and read() give them, with
// the path; BadInput beyond 64 KiB.
[[nodiscard]] Result<std::string> read_attribute(const std::string& path);

// One write of the whole value: that is what the kernel's store functions see. Errors name path and value.
[[nodiscard]] Result<> write_attribute(const std::string& path, std::string_view value);

// The whole of `text` is one number, decimal or 0x... in hexadecimal. `source` names it in the error.
template <class T>
[[nodiscard]] Result<T> parse_number(std::string_view text, std::string_view source) {
  const bool hexadecimal = text.starts_with("0x");
  const std::string_view digits = hexadecimal ? text.substr(2) : text;
  T value{};
  const char* begin = digits.data();
  const char* end = begin + digits.size();
  const auto [stop, trouble] = std::from_chars(begin, end, value, hexadecimal ? 16 : 10);
  if (trouble != std::errc() || stop != end)
    return fail(Cause::BadInput, EINVAL,
                std::string(source) + ": \"" + std::string(text) + "\" is not a number here");
  return value;
}

template <class T>
[[nodiscard]] Result<T> read_number(const std::string& path) {
  const Result<std::string> text = read_attribute(path);
  if (!text) return std::unexpected(text.error());
  return parse_number<T>(*text, path);
}

}  // namespace bulkhead::supervisor
