// What a handler-host gives up before it reads a byte from outside.
//
// Order matters and is told in lockdown.cc. Threads: before any other thread exists.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"

namespace bulkhead::host {

struct LockdownPlan {
  std::optional<uid_t> uid;   // to become; also the gid. nullopt: stay who we are
  std::string visible_name;   // argv[0], e.g. "tcmu-host: file/d0"
  int first_unwanted_fd = 4;  // this one and all above are closed
};

// Errors: of a step that must succeed; the text names it. Steps that only make things better are tried and
// forgotten: what stands of them is seen in /proc/PID/status.
[[nodiscard]] Result<> lock_down(const LockdownPlan& plan);

// The 15 bytes that top, pgrep and the kernel's log show: "tcmu:file/d0" of "tcmu-host: file/d0". Of a long
// name the end is kept, because names are numbered at their ends.
[[nodiscard]] std::string command_name(std::string_view visible_name);

}  // namespace bulkhead::host
