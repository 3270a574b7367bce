// An io_uring as handler `file` has one: made by that handler's own code, before the host has its last filter
// and with the same limits, wall "ring". A hostile host would find its descriptor and map it once more; so
// does this.
#pragma once

#include <liburing.h>

#include <functional>

namespace bulkhead::test {

// Made at the first call, for this file; the same one ever after. nullptr: there is none to be had.
[[nodiscard]] io_uring* own_ring(int file);

// What the kernel answers to one entry: 0 or more, or -errno. Only if the ring does what handler `file` asks
// of it, which is tried first; else -ENOTRECOVERABLE, which is no refusal.
[[nodiscard]] int ask_ring(int file, const std::function<void(io_uring_sqe&)>& prepare);

}  // namespace bulkhead::test
