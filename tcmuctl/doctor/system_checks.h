// What the doctor finds in the file system: each check looks at one thing and needs no bus and no privilege.
// `root` is "/", or a directory that holds a system's files in tests.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "tcmuctl/doctor/finding.h"

namespace bulkhead::tcmuctl {

using Root = std::filesystem::path;

// configfs, the target core and target_core_user, uio.
[[nodiscard]] Findings check_kernel(const Root& root);
// Where it is installed: "/usr", or what this program was installed below. In a test's root always "/usr".
[[nodiscard]] std::string prefix_of(const Root& root);
// The supervisor and the handler-host, executable.
[[nodiscard]] Findings check_programs(const Root& root);
// The policy file is there, and the bus's user can read it; tcmu-runner's does not weaken it.
[[nodiscard]] Findings check_policy_file(const Root& root);
// The file by which the bus starts the supervisor on demand.
[[nodiscard]] Findings check_activation_file(const Root& root);
// The unit is there, not masked, starts at boot, and no unit of tcmu-runner's stands in its way.
[[nodiscard]] Findings check_unit(const Root& root);
// Who holds /run/tcmu.lock, which tcmu-runner and the supervisor take in order never to run at once.
// `supervisor_pid` owns the bus name; nullopt when nobody does.
[[nodiscard]] Findings check_lock(const Root& root, std::optional<std::uint32_t> supervisor_pid);
// Every manifest can be parsed, its library is there, and all of it belongs to `owner` alone: else the
// supervisor does not use it.
[[nodiscard]] Findings check_handlers(const Root& root, uid_t owner = 0);

}  // namespace bulkhead::tcmuctl
