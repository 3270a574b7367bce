#include "handler-host/runtime/exit_code.h"

#include <fmt/format.h>
#include <unistd.h>

#include <string>

namespace bulkhead::host {

void end_process(ExitCode code, std::string_view text) {
  const std::string line = fmt::format("tcmu-handler-host: {}\n", text);
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, line.data(), line.size());
  ::_exit(static_cast<int>(code));
}

}  // namespace bulkhead::host
