// The name that the kernel gives a TCMU device: "tcm-user/HOST_ID/NAME[/DEV_CONFIG]".
// Source: tcmu_update_uio_info() in drivers/target/target_core_user.c. Pure; any thread.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"

namespace bulkhead::supervisor {

struct UioName {
  std::string hba;         // "user_N", as the folder in configfs
  std::string device;      // the backstore's name: 1..255 bytes without '/'
  std::string dev_config;  // by convention "SUBTYPE/CONFIG"; any bytes, at most 255; empty if none was set
  // Why we can't serve a device of such a name: it becomes part of paths, of a D-Bus object and of log lines.
  // Whose device it is can be told all the same. Empty: nothing is wrong.
  std::string problem = {};
  bool operator==(const UioName&) const = default;
};

inline constexpr std::size_t kMaxDeviceName = 255;  // NAME_MAX: it is a folder of configfs
inline constexpr std::size_t kMaxDevConfig = 255;   // TCMU_CONFIG_LEN with its terminator is 256

// Is it a TCMU device's name at all? Other drivers have uio devices too.
[[nodiscard]] bool is_tcmu_name(std::string_view name);

// Strict, unlike tcmu-runner: nothing is cut, nothing is guessed. One newline at the end of dev_config is
// dropped: it comes from `echo` into attrib/dev_config, which the kernel stores as it is. Errors: BadInput,
// which says what is wrong, with the name made printable.
[[nodiscard]] Result<UioName> parse_uio_name(std::string_view name);

}  // namespace bulkhead::supervisor
