// An io_uring that can do what its maker names, and nothing else: a ring is a way around a system call
// filter, since it can open, connect and send whatever the filter forbids.
//
// Source: io_uring_register(2), IORING_REGISTER_RESTRICTIONS. Any thread.
#pragma once

#include <liburing.h>

#include <cstdint>
#include <optional>
#include <span>

#include "base/error.h"

namespace bulkhead {

struct RingLimits {
  unsigned submissions = 64;
  unsigned completions = 64;
  std::span<const std::uint8_t> operations;  // IORING_OP_...
  // The file that every operation is about, number 0 of the ring's own table. nullopt: descriptors as they
  // are.
  std::optional<int> only_file;
  // Only the calling thread will ever submit.
  bool one_thread = false;
};

// The limits stand from the moment the ring can be used, and nothing can be registered any more then. The
// caller ends it with io_uring_queue_exit().
// Errors: Denied or NotFound when the kernel has no io_uring for us (io_uring_disabled, a filter, no such
// call).
[[nodiscard]] Result<io_uring> open_restricted_ring(const RingLimits& limits);

}  // namespace bulkhead
