// What the host does when the kernel has aborted commands.
//
// Threads: the loop thread, not from within a command.
#pragma once

#include "handler-host/runtime/commands.h"
#include "handler-host/scsi/logical_unit.h"
#include "handler-host/scsi/words.h"
#include "proto/control.pb.h"

namespace bulkhead::host {

// Answers those listed commands that have not reached the handler; the others end by themselves. Returns the
// line for the journal.
[[nodiscard]] scsi::Words manage_tasks(const control::TaskManagement& request, Commands& commands,
                                       scsi::LogicalUnit& unit);

}  // namespace bulkhead::host
