#include "handler-host/runtime/config_string.h"

#include <fmt/format.h>

#include <cerrno>

namespace bulkhead::host {
namespace {

constexpr std::string_view kCommandTimeout = ";tcmur_cmd_time_out=";

}  // namespace

DaemonOptions take_daemon_options(std::string_view config) {
  DaemonOptions options;
  const std::size_t begin = config.find(kCommandTimeout);
  if (begin == std::string_view::npos) {
    options.rest = config;
    return options;
  }
  const std::string_view behind = config.substr(begin + kCommandTimeout.size());
  const std::size_t length = behind.find(';');
  options.command_timeout = behind.substr(0, length);
  options.rest = config.substr(0, begin);
  if (length != std::string_view::npos) options.rest += behind.substr(length + 1);
  return options;
}

Result<> check_kernel_carries(std::string_view subtype, std::string_view config) {
  const std::size_t bytes = subtype.size() + 1 + config.size();
  if (bytes <= kKernelConfigBytes) return {};
  return fail(
      Cause::BadInput, ENAMETOOLONG,
      fmt::format(
          "the config string has {} bytes with \"{}/\" before it, and the kernel cuts it at {} without a "
          "word: use a shorter path, for instance by a symbolic link",
          bytes, subtype, kKernelConfigBytes));
}

}  // namespace bulkhead::host
