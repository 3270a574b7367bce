// Whether unmapped blocks can be given back, and in what portions, found out without touching a byte.
#pragma once

#include <cstdint>

#include "handler-host/handlers/file/backing.h"

namespace bulkhead::handler {

struct DiscardAbility {
  bool possible = false;
  bool zeroes = false;                  // discarded blocks read as zeroes
  std::uint32_t granularity_bytes = 0;  // 0: not known
  std::uint32_t alignment_bytes = 0;    // where the first whole granule begins
};

// What the file system or the device can do, if the LUN may.
[[nodiscard]] DiscardAbility find_discard(const Backing& backing, bool read_only);

}  // namespace bulkhead::handler
