// The file of an I/O grant: one that a thread which must not wait for storage may read and write, through the
// page cache.
#pragma once

#include "base/error.h"
#include "base/unique_fd.h"

namespace bulkhead::supervisor {

struct FileForGrant {
  UniqueFd file;           // for reading and writing; its close never waits for a server
  bool in_memory = false;  // a tmpfs: there is no storage, but calls wait for one another
};

// A description of its own of `file`, a regular file or block device. May block as open() does.
// Errors: Denied where nobody can tell beforehand whether a call will wait (RWF_NOWAIT is not known there);
// else what open() says.
[[nodiscard]] Result<FileForGrant> open_for_grant(const UniqueFd& file);

}  // namespace bulkhead::supervisor
