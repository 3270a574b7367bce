// What a benchmark's --json asks for.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace bulkhead::bench {

// Writes the report to `path`; an empty one: nowhere. Returns the program's exit status: 1, with words on
// standard error, if the file can't be written.
[[nodiscard]] int write_json(const nlohmann::json& report, const std::string& path);

}  // namespace bulkhead::bench
