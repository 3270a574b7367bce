// The command line, as the supervisor gives it.
#pragma once

#include <sys/types.h>

#include <optional>
#include <span>
#include <string_view>

#include "base/error.h"

namespace bulkhead::host {

struct Arguments {
  std::string_view visible_name;  // argv[0]
  std::optional<uid_t> uid;
};

// `[--uid=N]`, N above 0. Errors: BadInput.
[[nodiscard]] Result<Arguments> parse_arguments(std::span<const char* const> arguments);

}  // namespace bulkhead::host
