// PREVENT ALLOW MEDIUM REMOVAL (SBC-4, the clause of this name). The medium can't be removed (RMB 0 in the
// standard INQUIRY data), so both what PREVENT 00b allows and what 01b prohibits are so already. 10b and 11b,
// of medium changers, are refused by the opcode table.
#include "handler-host/scsi/commands.h"
#include "handler-host/scsi/task.h"

namespace bulkhead::scsi {

Flow prevent_allow_medium_removal(Task& task) {
  return task.good();
}

}  // namespace bulkhead::scsi
