// One blocking attempt at an operation: what a pool thread does, and the definition of what each Work means.
#pragma once

#include <cstdint>

#include "handler-host/handlers/file/operation.h"

namespace bulkhead::handler {

// fallocate(2) modes of the two ways to zero a range. Zero keeps the space, so a thick image stays thick.
[[nodiscard]] int fallocate_mode(Work work);

// Bytes moved, or -errno. Blocks; any thread.
[[nodiscard]] std::int64_t attempt(int fd, const Operation& operation);

// What a failed attempt means for whoever asked.
[[nodiscard]] IoStatus status_of(Work work, int sys_errno);

}  // namespace bulkhead::handler
