#include "supervisor/configfs/uio_name.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>

#include "base/printable.h"

namespace bulkhead::supervisor {
namespace {

constexpr std::string_view kPrefix = "tcm-user/";
constexpr std::size_t kMaxHostIdDigits = 10;  // a u32

std::unexpected<Error> refuse(std::string_view name, std::string_view reason) {
  return fail(Cause::BadInput, EINVAL,
              fmt::format("uio name \"{}\": {}", printable(name.substr(0, 600)), reason));
}

bool is_digits(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

// Up to the next '/', which goes too. Without one: everything.
std::string_view take_part(std::string_view& rest) {
  const std::size_t slash = rest.find('/');
  const std::string_view part = rest.substr(0, slash);
  rest.remove_prefix(slash == std::string_view::npos ? rest.size() : slash + 1);
  return part;
}

}  // namespace

bool is_tcmu_name(std::string_view name) {
  return name.starts_with(kPrefix);
}

Result<UioName> parse_uio_name(std::string_view name) {
  if (!is_tcmu_name(name)) return refuse(name, "does not begin with \"tcm-user/\"");
  std::string_view rest = name.substr(kPrefix.size());
  const std::string_view host_id = take_part(rest);
  if (!is_digits(host_id) || host_id.size() > kMaxHostIdDigits)
    return refuse(name, "no host number after tcm-user/");
  const std::string_view device = take_part(rest);
  if (device.empty()) return refuse(name, "no device name");
  if (device.size() > kMaxDeviceName) return refuse(name, "device name longer than 255 bytes");
  if (rest.ends_with('\n')) rest.remove_suffix(1);
  if (rest.size() > kMaxDevConfig) return refuse(name, "dev_config longer than 255 bytes");
  if (rest.find('\0') != std::string_view::npos) return refuse(name, "dev_config with a zero byte");
  UioName parsed{
      .hba = "user_" + std::string(host_id), .device = std::string(device), .dev_config = std::string(rest)};
  if (device == "." || device == ".." || !is_printable(device))
    parsed.problem = fmt::format(
        "\"{}\": the name must be printable UTF-8; make the backstore with another name", printable(device));
  return parsed;
}

}  // namespace bulkhead::supervisor
