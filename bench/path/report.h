// The rounds of all contenders as a table for people and as JSON.
#pragma once

#include <nlohmann/json.hpp>
#include <span>
#include <string>

#include "bench/path/job.h"
#include "bench/path/sample.h"

namespace bulkhead::bench {

// The contenders have the same number of rounds; the floor is the first. Ratios are made within a round and
// their median is told: what else the machine did meanwhile then counts for both sides of them.
[[nodiscard]] nlohmann::json to_json(const Job& job, std::span<const Contender> contenders);
[[nodiscard]] std::string table_of(const nlohmann::json& report);

}  // namespace bulkhead::bench
