// Reading blocks back from the medium and, if wanted, comparing them: what VERIFY, WRITE AND VERIFY and
// COMPARE AND WRITE have in common.
#pragma once

#include <cstdint>

#include "base/quantity.h"
#include "handler-host/scsi/task.h"

namespace bulkhead::scsi {

// What the blocks must be equal to.
enum class Against : std::uint8_t {
  Nothing,   // they need only be readable
  DataOut,   // the start of the data-out buffer, which holds as many bytes as are read
  OneBlock,  // every one of them: the first block of the data-out buffer
};

// Reads `length` bytes from `from` in pieces through the unit's scratch buffer, which stays borrowed until
// the command is answered. `then` comes next: with what went wrong; or with Ok, and progress.left is 0 if all
// of it agreed, else progress.at is the first byte on the medium that is different. Uses all of `progress`.
Flow check_medium(Task& task, ByteOffset from, ByteCount length, Against against, Task::Step then);

// A `then` that answers: GOOD, what went wrong, or MISCOMPARE.
Flow answer_check(Task& task, handler::IoStatus status);

}  // namespace bulkhead::scsi
