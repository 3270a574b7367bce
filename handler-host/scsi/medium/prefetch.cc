// PRE-FETCH 10 and 16 (SBC-4, the clauses of these names).
//
// The answer tells what was done: CONDITION MET if all of the blocks are, or with IMMED will be, in the
// cache; GOOD if the cache has not enough room for them. There is no cache here, and handlers have no way to
// be told what will be read soon, so it is GOOD. It is not even a hint, so any length will do (MAXIMUM
// PREFETCH LENGTH 0 in VPD B0h: no limit); no blocks at all mean "to the end of the medium".
#include "handler-host/scsi/commands.h"
#include "handler-host/scsi/medium/extent_check.h"
#include "handler-host/scsi/task.h"
#include "handler-host/scsi/unit.h"

namespace bulkhead::scsi {

Flow pre_fetch(Task& task) {
  const std::size_t cdb_bytes = task.row().cdb_bytes();
  const Extent extent = extent_of(task.cdb(), cdb_bytes);
  if (const auto sense = refuse_outside(task.unit(), extent, cdb_bytes)) return task.fail(*sense);
  return task.good();
}

}  // namespace bulkhead::scsi
