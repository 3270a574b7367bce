// The walls around a host, by name, each with its state: "on" or "on: DETAIL" stands, "not asked", "missing:
// WHY" can't be built here, "off: WHY" or anything else should stand and does not. handler-host/lockdown
// names most, supervisor/spawn/cgroups.cc the limits. Plain values.
#pragma once

#include <map>
#include <string>
#include <string_view>

namespace bulkhead::supervisor {

using Walls = std::map<std::string, std::string, std::less<>>;

[[nodiscard]] inline bool stands(std::string_view state) {
  return state == "on" || state.starts_with("on:");
}

}  // namespace bulkhead::supervisor
