// Hears of a write back that failed while nobody else could listen.
//
// The kernel tells of it once per open file description (errseq_t, lib/errseq.c), to whoever syncs next: and
// if that is a host that is just being killed, to nobody. The pages are clean from then on, so the next
// host's fdatasync() would succeed. Hence a description of our own, opened before the host can write anything
// and asked when it has died. What a disk answers to a flush of its own cache is no write back, and is not
// heard here.
#pragma once

#include "base/error.h"
#include "base/unique_fd.h"

namespace bulkhead::supervisor {

// A second open file description of a file that has just been opened, for reading. May block as open() does.
[[nodiscard]] Result<UniqueFd> open_witness(const UniqueFd& file);

// Has a write back of the file failed since the witness was opened or last asked? Never blocks. To ask is to
// be told: a description that is opened afterwards does not hear of it any more.
[[nodiscard]] bool write_back_failed(const UniqueFd& witness);

}  // namespace bulkhead::supervisor
