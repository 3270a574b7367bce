#include "handler-host/runtime/arguments.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <climits>
#include <utility>

namespace bulkhead::host {
namespace {

constexpr std::string_view kUid = "--uid=";
constexpr std::string_view kLibraryFolder = "--library-dir=";
constexpr std::string_view kPath = "--path=";
constexpr std::string_view kRequire = "--require=";
constexpr std::string_view kSyscall = "--syscall=";
constexpr std::string_view kBusyPoll = "--busy-poll-usec=";
constexpr std::string_view kNetwork = "--network";
constexpr std::string_view kThreads = "--threads";

std::optional<uid_t> parse_uid(std::string_view text) {
  uid_t uid = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), uid);
  // The largest one means "no change" to setresuid().
  if (problem != std::errc{} || end != text.data() + text.size() || uid == 0 || uid == UINT_MAX)
    return std::nullopt;
  return uid;
}

std::optional<std::chrono::microseconds> parse_busy_poll(std::string_view text) {
  constexpr std::uint32_t kMost = 10'000;
  std::uint32_t number = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (problem != std::errc{} || end != text.data() + text.size() || number > kMost) return std::nullopt;
  return std::chrono::microseconds(number);
}

std::unexpected<Error> refuse(std::string_view argument, std::string_view why) {
  return fail(Cause::BadInput, EINVAL, fmt::format("{}: {}", argument, why));
}

void split(std::string_view list, std::vector<std::string>& words) {
  while (!list.empty()) {
    const std::size_t comma = std::min(list.find(','), list.size());
    if (comma != 0) words.emplace_back(list.substr(0, comma));
    list.remove_prefix(std::min(comma + 1, list.size()));
  }
}

Result<> take(std::string_view argument, Arguments& parsed) {
  const auto value = [argument](std::string_view name) { return argument.substr(name.size()); };
  if (argument.starts_with(kUid) && !parsed.uid) {
    parsed.uid = parse_uid(value(kUid));
    if (!parsed.uid) return refuse(argument, "N must be a user id above 0");
  } else if (argument.starts_with(kLibraryFolder) || argument.starts_with(kPath)) {
    const std::string_view path = value(argument.starts_with(kPath) ? kPath : kLibraryFolder);
    if (!path.starts_with('/')) return refuse(argument, "the path must be absolute");
    parsed.paths.emplace_back(path);
  } else if (argument.starts_with(kRequire)) {
    split(value(kRequire), parsed.required);
  } else if (argument.starts_with(kSyscall)) {
    parsed.syscalls.emplace_back(value(kSyscall));
  } else if (argument.starts_with(kBusyPoll)) {
    const auto limit = parse_busy_poll(value(kBusyPoll));
    if (!limit) return refuse(argument, "N must be a number of microseconds up to 10000");
    parsed.busy_poll = *limit;
  } else if (argument == kNetwork) {
    parsed.network = true;
  } else if (argument == kThreads) {
    parsed.threads = true;
  } else {
    return refuse(argument, "unknown or repeated argument; tcmu-handler-host(8) tells which there are");
  }
  return {};
}

}  // namespace

Result<Arguments> parse_arguments(std::span<const char* const> arguments) {
  Arguments parsed;
  if (!arguments.empty()) parsed.visible_name = arguments[0];
  for (std::size_t i = 1; i < arguments.size(); ++i)
    if (auto taken = take(arguments[i], parsed); !taken) return std::unexpected(std::move(taken.error()));
  return parsed;
}

}  // namespace bulkhead::host
