// One thing the doctor looked at.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tcmuctl/text_table.h"

namespace bulkhead::tcmuctl {

enum class Health : std::uint8_t {
  Good,
  Notice,   // works, but not as it should; or it can't be told without privilege
  Problem,  // keeps a device from being served
};

struct Finding {
  Health health = Health::Good;
  std::string what;    // one sentence that names the thing
  std::string remedy;  // what to do about it; empty when good
};
using Findings = std::vector<Finding>;

[[nodiscard]] bool has_problem(const Findings& findings);
[[nodiscard]] std::string findings_view(const Findings& findings, Colors colors);

}  // namespace bulkhead::tcmuctl
