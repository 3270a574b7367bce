// What of a device's config string is the daemon's business, before the handler sees the rest.
//
// Pure; any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"

namespace bulkhead::host {

// The kernel cuts dev_config to this, subtype and slash included, without a word
// (drivers/target/target_core_user.c).
inline constexpr std::size_t kKernelConfigBytes = 255;

struct DaemonOptions {
  std::string rest;                            // the handler's config string
  std::optional<std::string> command_timeout;  // the value as written
};

// Takes out `;tcmur_cmd_time_out=N`, wherever it is, with the semicolons on both its sides, as tcmu-runner
// does.
[[nodiscard]] DaemonOptions take_daemon_options(std::string_view config);

// Refuses a string that the kernel would cut, so that another file than the one named would be served.
[[nodiscard]] Result<> check_kernel_carries(std::string_view subtype, std::string_view config);

}  // namespace bulkhead::host
