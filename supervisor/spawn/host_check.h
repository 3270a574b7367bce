// Looks at a host, before commands of a LUN are given to it: do the walls stand that a host of ours has? What
// it says, and what was written down about it, is not believed.
//
// Threads: any. Reads /proc, which does not block. handler-host/lockdown builds the walls.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/unique_fd.h"

namespace bulkhead::supervisor {

struct ExpectedHost {
  std::uint32_t uid = 0;  // user and group, as in HostCommand; 0: those we are ourselves
  std::string cgroup;     // Cgroups::leaf_in_proc(); empty: any
  bool adopted =
      false;  // an earlier supervisor started it, perhaps under other system call filters than ours
};

// Walls that not every kernel has, by their names (supervisor/model/walls.h), and whether they stand. Those
// of which the kernel does not tell are not in it.
using SeenWalls = std::map<std::string, bool, std::less<>>;

// Errors: Denied with the first wall that does not stand and must, by its name in /proc; NotFound if the
// process has ended; BadInput if that is no pidfd of a process. On each of them, end it and start another.
[[nodiscard]] Result<SeenWalls> check_host(const UniqueFd& pidfd, const ExpectedHost& expected);

// The judgement alone, over the texts of /proc/PID/status and /proc/PID/cgroup, and our own status. A line
// that is missing or makes no sense is a wall that does not stand.
struct HostProcText {
  std::string status;
  std::string cgroup;
  std::string own_status;
};
[[nodiscard]] Result<> judge_host(const HostProcText& text, const ExpectedHost& expected);
// Has it a filter of its own, beyond those it has from us? nullopt: that can't be told.
[[nodiscard]] std::optional<bool> own_seccomp(const HostProcText& text, const ExpectedHost& expected);

}  // namespace bulkhead::supervisor
