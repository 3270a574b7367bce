// What went wrong, and how much was moved: what the log pages show.
//
// Threads: the host's loop thread. Since this host started, or since LOG SELECT set them to zero: they are
// not saved (GLTSD in the Control mode page).
#pragma once

#include <cstdint>

namespace bulkhead::scsi {

struct ErrorCounters {
  struct Direction {
    std::uint64_t bytes = 0;        // handed to the handler, or asked of it
    std::uint64_t uncorrected = 0;  // operations that the medium failed
  };
  Direction written;
  Direction read;
  std::uint64_t non_medium = 0;  // commands that failed for another reason than the medium or the initiator
};

}  // namespace bulkhead::scsi
