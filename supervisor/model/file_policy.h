// From where the broker may open files for a handler-host, as tcmu.conf says. Plain value.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace bulkhead::supervisor {

enum class Symlinks : std::uint8_t {
  Follow,  // with roots: as long as they stay beneath
  Refuse,
};

struct FilePolicy {
  // Absolute, without a slash at the end but for "/". nullopt: everywhere; none: nowhere.
  std::optional<std::vector<std::string>> roots;
  Symlinks symlinks = Symlinks::Follow;
};

}  // namespace bulkhead::supervisor
