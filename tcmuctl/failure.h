// What goes wrong in a command: the exit code and the sentence for standard error.
#pragma once

#include <expected>
#include <string>

#include "tcmuctl/exit_code.h"

namespace bulkhead::tcmuctl {

struct Failure {
  ExitCode code = ExitCode::Failed;
  std::string text;
};

template <class T = void>
using Outcome = std::expected<T, Failure>;

}  // namespace bulkhead::tcmuctl
