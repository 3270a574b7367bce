// READ and WRITE 6, 10, 12, 16 (SBC-3, the clauses of these names).
//
// Lengths. The CDB says how many blocks, the buffer is what the initiator's side expects to move, and the two
// can differ either way; TCMU can report that less was read (READ_LEN), but not that more was asked for than
// moved, and nothing about writes.
//   READ:  the smaller of the two is moved. An initiator that expects less gets the start of what it asked
//   for, to
//          the byte (iscsi-test-cu, Read10Residuals).
//   WRITE: the buffer holds more: the CDB's blocks are written, the rest is not looked at. It holds less:
//   FCP-4 (its
//          rules for FCP_DL) lets a target write what is there and report a residual overflow, or refuse with
//          INVALID FIELD IN COMMAND INFORMATION UNIT and write nothing. The first would be a silent short
//          write here, as the overflow can't be reported; so the second, which iscsi-test-cu accepts too and
//          the kernel's own back ends do.
//
// DPO is a hint that is not taken. FUA (and FUA_NV of SBC-2) makes a write durable before it is answered, and
// a read return what is on the medium: what is cached goes there first. Hardly anybody sets it on reads, so
// all of the cache is flushed.
#include <algorithm>
#include <array>
#include <cstring>

#include "handler-host/scsi/commands.h"
#include "handler-host/scsi/medium/extent_check.h"
#include "handler-host/scsi/task.h"
#include "handler-host/scsi/unit.h"

namespace bulkhead::scsi {
namespace {

using handler::IoStatus;

// FUA, FUA_NV: in byte 1, but not of the 6-byte form.
bool force_unit_access(const Task& task) {
  return task.row().cdb_bytes() > 6 && (task.cdb()[1] & 0x0a) != 0;
}

Flow read_over(Task& task, IoStatus status) {
  if (status != IoStatus::Ok) return task.fail(status);
  return task.good(task.progress.bytes);
}

// The last bytes, of a buffer that ends within a block: that block goes through the scratch buffer.
Flow tail_read(Task& task, IoStatus status) {
  if (status != IoStatus::Ok) return task.fail(status);
  const std::size_t tail = task.progress.bytes % task.unit().block_bytes();
  std::memcpy(task.data().data() + (task.progress.bytes - tail), task.unit().scratch().data(), tail);
  return task.good(task.progress.bytes);
}

Flow read_tail(Task& task, IoStatus) {
  Unit& unit = task.unit();
  return task.read(task.progress.at, unit.scratch().first(unit.block_bytes()), tail_read);
}

Flow whole_blocks_read(Task& task, IoStatus status) {
  if (status != IoStatus::Ok) return task.fail(status);
  return task.borrow(task.unit().scratch_lock(), read_tail);
}

// progress: `bytes` in all, `at` where they start.
Flow start_read(Task& task) {
  const std::uint32_t bytes = task.progress.bytes;
  const std::uint32_t whole = bytes - bytes % task.unit().block_bytes();
  const ByteOffset from = task.progress.at;
  task.progress.at.value += whole;  // of the tail, if there is one
  if (whole == 0) return task.borrow(task.unit().scratch_lock(), read_tail);
  return task.read(from, task.data().first(whole), whole == bytes ? read_over : whole_blocks_read);
}

Flow flushed_before_read(Task& task, IoStatus status) {
  if (status != IoStatus::Ok) return task.fail(status);
  return start_read(task);
}

Flow no_atomic_write(Task& task, IoStatus) {
  if (force_unit_access(task) && task.unit().write_cache()) return task.flush(flushed_before_read);
  return start_read(task);
}

Flow write_locked(Task& task, IoStatus) {
  return task.write(task.progress.at, task.data().first(task.progress.bytes),
                    task.unit().durability(force_unit_access(task)), answer);
}

}  // namespace

Flow read_blocks(Task& task) {
  const Unit& unit = task.unit();
  const std::size_t cdb_bytes = task.row().cdb_bytes();
  const Extent extent = extent_of(task.cdb(), cdb_bytes);
  if (const auto sense = refuse_outside(unit, extent, cdb_bytes)) return task.fail(*sense);
  if (const auto sense = refuse_too_long(unit, extent, cdb_bytes)) return task.fail(*sense);

  const std::uint64_t wanted = unit.bytes_of(extent.count).value;
  task.progress.bytes = static_cast<std::uint32_t>(std::min<std::uint64_t>(wanted, task.data().size()));
  task.progress.at = unit.offset_of(extent.first);
  if (task.progress.bytes == 0) return task.good();
  return task.hold_off_atomic_writes(range_of(extent), no_atomic_write);
}

Flow write_blocks(Task& task) {
  const Unit& unit = task.unit();
  const std::size_t cdb_bytes = task.row().cdb_bytes();
  const Extent extent = extent_of(task.cdb(), cdb_bytes);
  if (const auto sense = refuse_outside(unit, extent, cdb_bytes)) return task.fail(*sense);
  if (const auto sense = refuse_too_long(unit, extent, cdb_bytes)) return task.fail(*sense);

  const std::uint64_t bytes = unit.bytes_of(extent.count).value;
  if (bytes > task.data().size()) return task.fail(illegal_request(asc::kInvalidFieldInInformationUnit));
  if (bytes == 0) return task.good();
  task.progress.bytes = static_cast<std::uint32_t>(bytes);
  task.progress.at = unit.offset_of(extent.first);
  return task.lock(range_of(extent), write_locked);
}

}  // namespace bulkhead::scsi
