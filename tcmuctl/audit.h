// tcmuctl audit: which walls stand around the hosts that run, in one table.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tcmuctl/service.h"
#include "tcmuctl/views.h"

namespace bulkhead::tcmuctl {

enum class WallState : std::uint8_t {
  Stands,
  NotAsked,  // the handler's manifest or tcmu.conf does without it
  Missing,   // this system can't have it
  Off,       // it should stand
};
// From the text in property Sandbox; what is not understood counts as Off.
[[nodiscard]] WallState wall_state(const std::string& text);

// "seccomp, memory-limit (1024 MiB)" and "landlock (missing: old kernel)".
[[nodiscard]] std::string standing_walls(const Device& device);
[[nodiscard]] std::string other_walls(const Device& device);

// The table, and below it a line for each wall that does not stand.
[[nodiscard]] std::string audit_view(const std::vector<Device>& devices, const Screen& screen);
[[nodiscard]] nlohmann::json audit_json(const std::vector<Device>& devices);
// Does a host lack a wall that it should have? A device without a host has none to lack.
[[nodiscard]] bool lacks_walls(const Device& device);

}  // namespace bulkhead::tcmuctl
