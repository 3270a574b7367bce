// VERIFY 10, 12, 16 and WRITE AND VERIFY 10, 12, 16 (SBC-4, the clauses of these names).
//
//   BYTCHK  VERIFY                                             WRITE AND VERIFY
//   00b     the blocks are read; what is sent is not looked at   they are written and read back
//   01b     ... and compared with as many blocks of data-out     ... and compared with what was sent
//   10b     refused                                            refused
//   11b     ... and each compared with one block of data-out     refused
//
// An unmapped block is compared like any other: it has a content (VBULS 1 in VPD B1h).
//
// The medium is meant, not a cache: what is cached is flushed before VERIFY reads, and WRITE AND VERIFY
// writes durably whether the write cache is on or not. Where the reads come from after that is up to the back
// end.
//
// Length: MAXIMUM TRANSFER LENGTH of VPD B0h is for these commands too (SBC-4, "Block Limits VPD page"), also
// if no data is moved. So one command never reads for longer than a READ does, and holds the scratch buffer
// no longer either.
//
// VERIFY is a reader and changes nothing, so writes do not wait for it: what is written meanwhile may be seen
// or not, block by block. WRITE AND VERIFY keeps its blocks until it is answered; nobody else's write can
// make the check fail.
#include "handler-host/scsi/commands.h"
#include "handler-host/scsi/medium/check_medium.h"
#include "handler-host/scsi/medium/extent_check.h"
#include "handler-host/scsi/task.h"
#include "handler-host/scsi/unit.h"

namespace bulkhead::scsi {
namespace {

using handler::Durability;
using handler::IoStatus;

constexpr unsigned kBytchkHighBit = 2;  // of byte 1

enum class Bytchk : std::uint8_t { MediumOnly = 0, DataOut = 1, Reserved = 2, OneBlock = 3 };

Bytchk bytchk_of(const Task& task) {
  return static_cast<Bytchk>(task.cdb()[1] >> 1 & 3);
}

Extent extent_of(const Task& task) {
  return scsi::extent_of(task.cdb(), task.row().cdb_bytes());
}

Against against(Bytchk bytchk) {
  switch (bytchk) {
    case Bytchk::DataOut:
      return Against::DataOut;
    case Bytchk::OneBlock:
      return Against::OneBlock;
    case Bytchk::MediumOnly:
    case Bytchk::Reserved:
      break;
  }
  return Against::Nothing;
}

// How much data-out there must be.
std::uint64_t bytes_needed(const Unit& unit, const Extent& extent, Bytchk bytchk) {
  switch (bytchk) {
    case Bytchk::DataOut:
      return unit.bytes_of(extent.count).value;
    case Bytchk::OneBlock:
      return extent.count.value == 0 ? 0 : unit.block_bytes();
    case Bytchk::MediumOnly:
    case Bytchk::Reserved:
      break;
  }
  return 0;
}

std::optional<Sense> refuse_extent(const Task& task, const Unit& unit) {
  const std::size_t cdb_bytes = task.row().cdb_bytes();
  const Extent extent = extent_of(task);
  if (const auto sense = refuse_outside(unit, extent, cdb_bytes)) return sense;
  return refuse_too_long(unit, extent, cdb_bytes);
}

Flow check(Task& task) {
  const Unit& unit = task.unit();
  const Extent extent = extent_of(task);
  return check_medium(task, unit.offset_of(extent.first), unit.bytes_of(extent.count),
                      against(bytchk_of(task)), answer_check);
}

Flow flushed(Task& task, IoStatus status) {
  if (status != IoStatus::Ok) return task.fail(status);
  return check(task);
}

Flow no_atomic_write(Task& task, IoStatus) {
  return task.unit().write_cache() ? task.flush(flushed) : check(task);
}

Flow locked(Task& task, IoStatus) {
  const Unit& unit = task.unit();
  const Extent extent = extent_of(task);
  return task.write(unit.offset_of(extent.first), task.data().first(unit.bytes_of(extent.count).value),
                    Durability::Durable, flushed);
}

}  // namespace

Flow verify(Task& task) {
  const Unit& unit = task.unit();
  const Bytchk bytchk = bytchk_of(task);
  if (bytchk == Bytchk::Reserved) return task.fail(invalid_cdb(1, kBytchkHighBit));
  if (const auto sense = refuse_extent(task, unit)) return task.fail(*sense);
  const Extent extent = extent_of(task);
  if (bytes_needed(unit, extent, bytchk) > task.data().size())
    return task.fail(illegal_request(asc::kInvalidFieldInInformationUnit));
  if (extent.count.value == 0) return task.good();
  return task.hold_off_atomic_writes(range_of(extent), no_atomic_write);
}

Flow write_and_verify(Task& task) {
  const Unit& unit = task.unit();
  const Bytchk bytchk = bytchk_of(task);
  if (bytchk != Bytchk::MediumOnly && bytchk != Bytchk::DataOut)
    return task.fail(invalid_cdb(1, kBytchkHighBit));
  if (const auto sense = refuse_extent(task, unit)) return task.fail(*sense);
  const Extent extent = extent_of(task);
  if (unit.bytes_of(extent.count).value > task.data().size())
    return task.fail(illegal_request(asc::kInvalidFieldInInformationUnit));
  if (extent.count.value == 0) return task.good();
  return task.lock(range_of(extent), locked);
}

}  // namespace bulkhead::scsi
