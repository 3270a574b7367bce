// The walls around a host, by name, each with its state: "on" or "on: DETAIL" stands, "none: WHY" can't be
// built here or is not asked for, anything else ("off: WHY") should stand and does not. Plain values.
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
