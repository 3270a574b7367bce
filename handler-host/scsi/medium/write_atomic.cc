// WRITE ATOMIC 16 (SBC-4, "Atomic write operations" and the clause of this name): all of it happens or
// nothing does, and nobody sees half of it. What that promise is made of:
//
//   Beside another change:   its blocks are its own until it was answered (RangeLock), as with every write.
//   Beside a read:           a read of several blocks may see some of them old and some new while an ordinary
//                            write is under way. So reads hold atomic writes off, and an atomic write keeps
//                            later reads waiting: Unit::atomic_lock(), a lock that reads share.
//   This process dies:       the command is executed again before anything that arrived after it, so no
//                            read and no change meets the half that was done.
//   The power fails:         nothing here can help. So one command may write what the back end changes in one
//                            piece (handler::Geometry::atomic_write_bytes), exactly that and at a multiple of
//                            it: MAXIMUM ATOMIC TRANSFER LENGTH, ATOMIC ALIGNMENT and ATOMIC TRANSFER LENGTH
//                            GRANULARITY of VPD B0h are all that number. It is one write to the handler.
//
// Linux (sd_config_atomic()) takes the granularity for the smallest atomic write and the maximum for the
// largest, does not believe in an alignment above the granularity, and without a granularity takes the
// physical block for the smallest, even if it is above the maximum; three equal numbers leave it nothing to
// guess.
//
// A sector of 512 bytes is taken for granted, whatever the back end knows. So a unit of such blocks has the
// command always, be it of one block; one of larger blocks only if its back end promises them, else the
// fields are 0.
//
// An ATOMIC BOUNDARY would cut the write into several atomic ones: none is supported (MAXIMUM ATOMIC BOUNDARY
// SIZE 0), the opcode table refuses it.
#include "handler-host/scsi/commands.h"
#include "handler-host/scsi/medium/extent_check.h"
#include "handler-host/scsi/task.h"
#include "handler-host/scsi/unit.h"

namespace bulkhead::scsi {
namespace {

using handler::IoStatus;

constexpr std::uint16_t kLbaByte = 2;
constexpr std::uint16_t kCountByte = 12;
constexpr unsigned kFuaBit = 3;  // of byte 1

Extent extent_of(const Task& task) {
  return {Lba{task.cdb().u64<kLbaByte>()}, BlockCount{task.cdb().u16<kCountByte>()}};
}

Flow alone(Task& task, IoStatus) {
  const Unit& unit = task.unit();
  const Extent extent = extent_of(task);
  return task.write(unit.offset_of(extent.first), task.data().first(unit.bytes_of(extent.count).value),
                    unit.durability(task.cdb().bit(1, kFuaBit)), answer);
}

Flow locked(Task& task, IoStatus) {
  return task.hold_off_reads(range_of(extent_of(task)), alone);
}

}  // namespace

Flow write_atomic(Task& task) {
  const Unit& unit = task.unit();
  const Extent extent = extent_of(task);
  if (const auto sense = refuse_outside(unit, extent, task.row().cdb_bytes())) return task.fail(*sense);
  if (extent.count.value == 0) return task.good();
  const std::uint32_t piece = unit.limits().atomic_write;
  if (extent.first.value % piece != 0) return task.fail(invalid_cdb(kLbaByte));
  if (extent.count.value != piece) return task.fail(invalid_cdb(kCountByte));
  if (unit.bytes_of(extent.count).value > task.data().size())
    return task.fail(illegal_request(asc::kInvalidFieldInInformationUnit));
  return task.lock(range_of(extent), locked);
}

}  // namespace bulkhead::scsi
