// SYNCHRONIZE CACHE 10 and 16, START STOP UNIT (SBC-3, the clauses of these names).
#include "handler-host/scsi/commands.h"
#include "handler-host/scsi/medium/extent_check.h"
#include "handler-host/scsi/task.h"
#include "handler-host/scsi/unit.h"

namespace bulkhead::scsi {

// Everything is flushed, whatever range was named: a superset is allowed. IMMED lets the answer come before
// the flush is over; it comes after it here, which costs that initiator patience, but an error reaches the
// command that caused it and not some later one as a deferred error.
Flow synchronize_cache(Task& task) {
  const std::size_t cdb_bytes = task.row().cdb_bytes();
  const Extent extent = extent_of(task.cdb(), cdb_bytes);  // no blocks: to the end
  if (const auto sense = refuse_outside(task.unit(), extent, cdb_bytes)) return task.fail(*sense);
  return task.flush(answer);
}

// There is no motor, and no medium to eject: what remains of stopping is that cached data is safe afterwards.
// A stopped state would hit every initiator of a shared LUN and would not survive a host's death, so the unit
// stays ready.
Flow start_stop_unit(Task& task) {
  const Cdb& cdb = task.cdb();
  if ((cdb[4] & 0xf0) != 0) return task.fail(invalid_cdb(4, 7));  // POWER CONDITION: only START_VALID
  if ((cdb[3] & 0x0f) != 0) return task.fail(invalid_cdb(3, 3));  // POWER CONDITION MODIFIER
  if (cdb.bit(4, 1)) return task.fail(invalid_cdb(4, 1));         // LOEJ: the medium is not removable
  const bool start = cdb.bit(4, 0);
  const bool no_flush = cdb.bit(4, 2);
  if (start || no_flush) return task.good();
  return task.flush(answer);
}

}  // namespace bulkhead::scsi
