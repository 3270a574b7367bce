// What a handler-host gives up before it reads a byte from outside.
//
// Order matters and is told in lockdown.cc. Threads: before any other thread exists.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "handler-host/lockdown/syscall_filter.h"
#include "handler-host/lockdown/walls.h"

namespace bulkhead::host {

struct LockdownPlan {
  std::optional<uid_t> uid;   // to become; also the gid. nullopt: stay who we are
  std::string visible_name;   // argv[0], e.g. "tcmu-host: file/d0"
  int first_unwanted_fd = 4;  // this one and all above are closed
  FilterNeeds needs;          // what the handler's manifest asks for
  // Read besides the system's libraries: folders of handlers, and what the handler's manifest names.
  std::vector<std::string> readable;
  std::vector<std::string> required;  // walls without which there shall be no host
  bool filters = true;                // Landlock and seccomp; false: for tests of the walls behind them
};

// With a uid: namespaces of its own and an empty root too; without one (tests) the process can still see
// everything. Tells which walls stand. Errors: of a step that must succeed, or of a required wall that is
// missing; the text names it. Other walls that are missing are reported, and that is all: a host in a lesser
// sandbox serves its LUN.
[[nodiscard]] Result<Walls> lock_down(const LockdownPlan& plan);

// The second step, when everything is open and loaded: what only that needed goes too. Errors: as before.
// Threads: the loop thread; others may exist.
[[nodiscard]] Result<> tighten(const LockdownPlan& plan, Walls& walls);

// The 15 bytes that top, pgrep and the kernel's log show: "tcmu:file/d0" of "tcmu-host: file/d0". Of a long
// name the end is kept, because names are numbered at their ends.
[[nodiscard]] std::string command_name(std::string_view visible_name);

}  // namespace bulkhead::host
