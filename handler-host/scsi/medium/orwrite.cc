// ORWRITE 16 (SBC-4, the clause of this name): the bits that are set in the data-out buffer are set on the
// medium too, the others stay as they are.
//
// The blocks are this command's from before the first is read until it was answered, so no other write is
// lost in between. They go through the scratch buffer in pieces; a failure leaves the pieces before it done,
// as SBC-4 allows.
#include <algorithm>
#include <functional>

#include "handler-host/scsi/commands.h"
#include "handler-host/scsi/medium/extent_check.h"
#include "handler-host/scsi/task.h"
#include "handler-host/scsi/unit.h"

namespace bulkhead::scsi {
namespace {

using handler::IoStatus;

constexpr unsigned kFuaBit = 3;  // of byte 1

Flow piece_read(Task& task, IoStatus status);

// progress: the next piece begins at `at` on the medium and at `bytes` in the data-out buffer.
Flow read_piece(Task& task, IoStatus status) {
  if (status != IoStatus::Ok) return task.fail(status);
  Task::Progress& progress = task.progress;
  if (progress.left.value == 0) return task.good();
  const auto scratch = task.unit().scratch();
  progress.piece.value = std::min<std::uint64_t>(progress.left.value, scratch.size());
  return task.read(progress.at, scratch.first(progress.piece.value), piece_read);
}

Flow piece_read(Task& task, IoStatus status) {
  if (status != IoStatus::Ok) return task.fail(status);
  Task::Progress& progress = task.progress;
  const std::uint64_t bytes = progress.piece.value;
  const auto piece = task.unit().scratch().first(bytes);
  const auto mask = task.data().subspan(progress.bytes, bytes);
  std::ranges::transform(piece, mask, piece.begin(), std::bit_or());
  const ByteOffset at = progress.at;
  progress.at.value += bytes;
  progress.left.value -= bytes;
  progress.bytes += static_cast<std::uint32_t>(bytes);
  return task.write(at, piece, task.unit().durability(task.cdb().bit(1, kFuaBit)), read_piece);
}

Flow locked(Task& task, IoStatus) {
  return task.borrow(task.unit().scratch_lock(), read_piece);
}

}  // namespace

Flow orwrite(Task& task) {
  const Unit& unit = task.unit();
  const std::size_t cdb_bytes = task.row().cdb_bytes();
  const Extent extent = extent_of(task.cdb(), cdb_bytes);
  if (const auto sense = refuse_outside(unit, extent, cdb_bytes)) return task.fail(*sense);
  if (const auto sense = refuse_too_long(unit, extent, cdb_bytes)) return task.fail(*sense);
  if (unit.bytes_of(extent.count).value > task.data().size())
    return task.fail(illegal_request(asc::kInvalidFieldInInformationUnit));
  if (extent.count.value == 0) return task.good();
  task.progress.at = unit.offset_of(extent.first);
  task.progress.left = unit.bytes_of(extent.count);
  return task.lock(range_of(extent), locked);
}

}  // namespace bulkhead::scsi
