// Which walls stand around a host, from what it says and what the kernel says, and whether that is enough.
// Pure.
#pragma once

#include <span>
#include <string>

#include "base/error.h"
#include "supervisor/model/walls.h"
#include "supervisor/spawn/host_check.h"

namespace bulkhead::supervisor {

// Adds to `walls` those that the host told and the kernel shows. `network`: the manifest asks for the
// machine's. Errors: Denied with the wall that the host says it has and the kernel says it has not, or that
// it says nobody asked for and the manifest did not do without.
[[nodiscard]] Result<> believe_walls(const Walls& told, const SeenWalls& seen, bool network, Walls& walls);

// Errors: Denied with the first of `required` that neither stands nor is unasked for, and the remedy.
[[nodiscard]] Result<> require_walls(const Walls& walls, std::span<const std::string> required);

}  // namespace bulkhead::supervisor
