// The config string of handler `null`, as data: which faults to inject.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/error.h"

namespace bulkhead::handler {

// "After N": the first N commands of a host are served. "Every Nth": 0 is never.
struct NullConfig {
  bool read_only = false;
  std::uint32_t delay_us = 0;                     // each command is answered this much later
  std::uint32_t fail_read = 0;                    // every Nth read ends with a read error
  std::uint32_t fail_write = 0;                   // every Nth write ends with a write error
  std::uint32_t fail_flush = 0;                   // every Nth flush ends with a write error
  std::optional<std::uint64_t> fail_lba;          // reads and writes of this block fail
  std::optional<std::uint64_t> crash_lba;         // and of this one abort the host
  std::optional<std::uint32_t> nospace_after;     // writes: no space
  std::optional<std::uint32_t> crash_after;       // commands: the host aborts
  std::optional<std::uint32_t> hang_after;        // commands: no answer, ever
  std::optional<std::uint32_t> stall_after;       // commands: the host's loop stands still
  std::optional<std::uint32_t> eat_memory_after;  // commands: the host takes memory until it is ended
  std::uint32_t open_fail = 0;                    // errno of open()
  std::uint32_t open_delay_ms = 0;
  std::uint32_t check_delay_ms = 0;
};

// Pure; any thread. Errors: BadInput.
[[nodiscard]] Result<NullConfig> parse_null_config(std::string_view text);

}  // namespace bulkhead::handler
