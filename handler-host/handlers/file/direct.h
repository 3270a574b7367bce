// O_DIRECT: whether this backing takes it for this LUN, and what it asks of a buffer.
//
// Durability is the same either way: O_DIRECT passes the page cache, not the device's own cache nor the file
// system's metadata, so a write is durable by RWF_DSYNC and a flush is fdatasync(), with it and without.
#pragma once

#include <cstdint>

#include "base/error.h"
#include "handler-host/handlers/file/backing.h"
#include "handler-host/handlers/file/config.h"

namespace bulkhead::handler {

// Switches O_DIRECT on or off, as `wish` says and the backing allows; `auto` takes it where a trial read of
// one block works and the alignment it asks for is not above the LUN's block size, so that every offset is
// aligned. Returns the alignment of buffers that reads and writes must keep; 0: O_DIRECT is off, any will do.
// Errors: BadInput for direct=on where it can't be.
[[nodiscard]] Result<std::uint32_t> choose_direct(const Backing& backing, Direct wish,
                                                  std::uint32_t block_bytes);

}  // namespace bulkhead::handler
