// The file or block device behind a LUN: opened through the supervisor, judged, and asked what it can do.
//
// Nothing here changes a byte of it. Blocks: only within a handler's open(), check() and resize().
#pragma once

#include <cstdint>
#include <string>

#include "base/error.h"
#include "base/unique_fd.h"
#include "handler-host/api/handler.h"
#include "handler-host/handlers/file/config.h"

namespace bulkhead::handler {

enum class BackingKind : std::uint8_t { RegularFile, BlockDevice };

struct Backing {
  UniqueFd fd;
  std::string path;  // as configured; for messages
  BackingKind kind = BackingKind::RegularFile;
  std::uint64_t bytes = 0;                 // when looked at last
  std::uint32_t logical_block_bytes = 1;   // smallest write a block device takes; 1 for files
  std::uint32_t physical_block_bytes = 0;  // 0: not known
  std::uint32_t atomic_bytes = 0;          // changed wholly or not at all when the power fails; 0: not known
  std::uint32_t optimal_bytes = 0;         // of a transfer; 0: not known
  bool solid_state = false;                // known only of block devices
  bool tells_space = false;                // a file, on a file system that has a size
};

// Opens what the config names and refuses what can't be a disk: directory, FIFO, character device, empty
// file. lun_bytes: what create=on makes, and errors advise; 0: there is no LUN yet, nothing is made.
// Errors: Denied, NotFound, BadInput..., with the path, the reason and the remedy.
[[nodiscard]] Result<Backing> open_backing(Services& services, const FileConfig& config,
                                           std::uint64_t lun_bytes);

// Asks again how large it is.
[[nodiscard]] Result<std::uint64_t> backing_bytes(const Backing& backing);

// Refuses a LUN that the backing can't carry: too small, or blocks smaller than a block device's own.
[[nodiscard]] Result<> check_fits(const Backing& backing, ByteCount size, std::uint32_t block_bytes);

// Refuses a file that another holder has locked: two LUNs on one image would destroy it. Shared among
// readers. Waits a few seconds: the kernel drops the lock of a host that was killed only when the last of its
// writes is through, and exactly that must be awaited before its commands are replayed.
[[nodiscard]] Result<> lock_backing(const Backing& backing, bool read_only);

}  // namespace bulkhead::handler
