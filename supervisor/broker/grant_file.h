// The file of an I/O grant: one that a thread which must not wait for storage may read and write through the
// page cache, or read past it.
#pragma once

#include "base/error.h"
#include "base/unique_fd.h"

namespace bulkhead::supervisor {

struct FileForGrant {
  UniqueFd file;           // its close never waits for a server
  bool in_memory = false;  // a tmpfs: there is no storage, but calls wait for one another
  bool is_disk = false;    // a block device
};

// A description of its own of `file`, a regular file or block device: for reading and writing, or, `direct`,
// for reading with O_DIRECT. May block as open() does. Errors: Denied where nobody can tell beforehand
// whether a call will wait (RWF_NOWAIT is not known there); else what open() says.
[[nodiscard]] Result<FileForGrant> open_for_grant(const UniqueFd& file, bool direct);

}  // namespace bulkhead::supervisor
