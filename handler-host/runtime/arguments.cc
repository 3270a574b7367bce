#include "handler-host/runtime/arguments.h"

#include <fmt/format.h>

#include <cerrno>
#include <charconv>
#include <climits>

namespace bulkhead::host {
namespace {

constexpr std::string_view kUid = "--uid=";

std::optional<uid_t> parse_uid(std::string_view text) {
  uid_t uid = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), uid);
  // The largest one means "no change" to setresuid().
  if (problem != std::errc{} || end != text.data() + text.size() || uid == 0 || uid == UINT_MAX)
    return std::nullopt;
  return uid;
}

}  // namespace

Result<Arguments> parse_arguments(std::span<const char* const> arguments) {
  Arguments parsed;
  if (!arguments.empty()) parsed.visible_name = arguments[0];
  for (std::size_t i = 1; i < arguments.size(); ++i) {
    const std::string_view argument = arguments[i];
    if (!argument.starts_with(kUid) || parsed.uid)
      return fail(Cause::BadInput, EINVAL,
                  fmt::format("unknown or repeated argument {}; there is --uid=N", argument));
    parsed.uid = parse_uid(argument.substr(kUid.size()));
    if (!parsed.uid)
      return fail(Cause::BadInput, EINVAL, fmt::format("{}: N must be a user id above 0", argument));
  }
  return parsed;
}

}  // namespace bulkhead::host
