// The command line, as the supervisor gives it.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace bulkhead::host {

struct Arguments {
  std::string_view visible_name;   // argv[0]
  std::optional<uid_t> uid;        // --uid=N, N above 0
  bool network = false;            // --network: the handler's manifest asks for it
  std::vector<std::string> paths;  // --library-dir=FOLDER, --path=PATH: what the process may see of the files
  bool threads = false;            // --threads: as the manifest says, it makes some
  std::vector<std::string> syscalls;       // --syscall=NAME: beyond those of lockdown/syscall_table.h
  std::chrono::microseconds busy_poll{0};  // --busy-poll-usec=N, up to 10000: see server.h
  std::vector<std::string> required;       // --require=WALL,...: walls it must not run without
};

// Errors: BadInput, for what is unknown, repeated or malformed.
[[nodiscard]] Result<Arguments> parse_arguments(std::span<const char* const> arguments);

}  // namespace bulkhead::host
