// Whether unmapped blocks can be given back, found out without touching a byte.
#pragma once

#include <cstdint>

#include "handler-host/handlers/file/backing.h"

namespace bulkhead::handler {

struct DiscardAbility {
  bool possible = false;
  bool zeroes = false;                  // discarded blocks read as zeroes
  std::uint32_t granularity_bytes = 0;  // 0: not known
};

// The backing must be open for writing.
[[nodiscard]] DiscardAbility find_discard(const Backing& backing);

}  // namespace bulkhead::handler
