// tcmu-runner's command line, so that old unit files and scripts go on working.
//
// Different on purpose: --help and --version are no failures (exit 0, on standard output; tcmu-runner: 1), a
// bad option or value exits with 2 and says so on standard error (tcmu-runner: 1), as other programs do.
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>

namespace bulkhead::supervisor {

struct CommandLine {
  bool debug = false;                         // -d --debug: log level 5 unless tcmu.conf has one
  std::optional<std::uint64_t> open_files;    // -f --nofile: 65536..1048576
  std::optional<std::string> handler_folder;  // --handler-path
  std::optional<std::string> log_directory;   // -l --tcmu-log-dir
};

// The program is over before it began.
struct EarlyExit {
  int code = 0;
  std::string standard_output;
  std::string standard_error;
};

[[nodiscard]] std::expected<CommandLine, EarlyExit> parse_command_line(int count,
                                                                       const char* const* arguments,
                                                                       const std::string& version);

}  // namespace bulkhead::supervisor
