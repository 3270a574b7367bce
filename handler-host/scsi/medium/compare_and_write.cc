// COMPARE AND WRITE (SBC-4, the clause of this name), which VMware calls ATS: how hosts that share a disk
// take its locks, and the mainstay of VMFS.
//
// The data-out buffer is two halves of NUMBER OF LOGICAL BLOCKS each: what must be on the medium, then what
// takes its place. Any other length leaves open where the second half begins, so it is refused.
//
// The blocks are this command's from before it reads until it was answered, so nobody's write comes between
// the comparison and the write, or between two commands that want the same. What differs is told by its
// offset in the data-out buffer, in INFORMATION; initiators tell a lost race from a lock that never was
// theirs by it.
//
// It is never executed twice (proto/opcode_facts.h): the second time it would meet what it wrote itself.
#include "handler-host/scsi/commands.h"
#include "handler-host/scsi/medium/check_medium.h"
#include "handler-host/scsi/medium/extent_check.h"
#include "handler-host/scsi/task.h"
#include "handler-host/scsi/unit.h"

namespace bulkhead::scsi {
namespace {

using handler::IoStatus;

constexpr std::uint16_t kCountByte = 13;  // one byte, the last of what other 16-byte CDBs have there
constexpr unsigned kFuaBit = 3;           // of byte 1

struct Halves {
  ByteOffset at;
  ByteCount each;
};

Halves halves_of(Task& task) {
  const Extent extent = extent_of(task.cdb(), task.row().cdb_bytes());
  return {task.unit().offset_of(extent.first), task.unit().bytes_of(extent.count)};
}

Flow compared(Task& task, IoStatus status) {
  if (status != IoStatus::Ok) return task.fail(status);
  const Halves halves = halves_of(task);
  if (task.progress.left.value != 0) {
    return task.fail(Sense{.key = SenseKey::Miscompare,
                           .code = asc::kMiscompare,
                           .information = task.progress.at.value - halves.at.value});
  }
  return task.write(halves.at, task.data().subspan(halves.each.value, halves.each.value),
                    task.unit().durability(task.cdb().bit(1, kFuaBit)), answer);
}

Flow locked(Task& task, IoStatus) {
  const Halves halves = halves_of(task);
  return check_medium(task, halves.at, halves.each, Against::DataOut, compared);
}

}  // namespace

Flow compare_and_write(Task& task) {
  const Unit& unit = task.unit();
  const std::size_t cdb_bytes = task.row().cdb_bytes();
  const Extent extent = extent_of(task.cdb(), cdb_bytes);
  if (const auto sense = refuse_outside(unit, extent, cdb_bytes)) return task.fail(*sense);
  if (extent.count.value > unit.limits().max_compare_and_write) return task.fail(invalid_cdb(kCountByte));
  // No blocks, and yet something to compare: 256 of them, say, of which the one byte shows nothing.
  if (extent.count.value == 0) return task.data().empty() ? task.good() : task.fail(invalid_cdb(kCountByte));
  if (task.data().size() != 2 * unit.bytes_of(extent.count).value)
    return task.fail(illegal_request(asc::kInvalidFieldInInformationUnit));
  return task.lock(range_of(extent), locked);
}

}  // namespace bulkhead::scsi
