// WRITE SAME 10 and 16 (SBC-3 and SBC-4, the clauses of these names).
//
//   block is zero, UNMAP, and unmapped blocks read as zeroes here  -> discard
//   block is zero (or NDOB: no block is sent, it counts as zero)   -> the handler writes zeroes
//   else, or if the handler can't do that                          -> the block is written over and over
//
// UNMAP with any other block writes it: unmapped blocks must read as what was sent (SBC-3 4.7.3), and a
// discard could not promise that. ANCHOR is refused by the opcode table (ANC_SUP 0 in VPD B2h).
#include <algorithm>
#include <cstring>

#include "handler-host/scsi/commands.h"
#include "handler-host/scsi/medium/extent_check.h"
#include "handler-host/scsi/task.h"
#include "handler-host/scsi/unit.h"

namespace bulkhead::scsi {
namespace {

using handler::IoStatus;

constexpr unsigned kUnmapBit = 3;  // of byte 1
constexpr unsigned kNdobBit = 0;   // of byte 1, in the 16-byte form alone

bool no_data_out(const Task& task) {
  return task.row().cdb_bytes() == 16 && task.cdb().bit(1, kNdobBit);
}

bool block_is_zero(Task& task) {
  if (no_data_out(task)) return true;
  const auto block = task.data().first(task.unit().block_bytes());
  return std::ranges::all_of(block, [](std::byte byte) { return byte == std::byte{0}; });
}

// The block again and again, as many at a time as the scratch buffer holds.
Flow write_copies(Task& task, IoStatus status) {
  if (status != IoStatus::Ok) return task.fail(status);
  Task::Progress& progress = task.progress;
  if (progress.left.value == 0) return task.good();
  const std::uint64_t bytes = std::min<std::uint64_t>(progress.left.value, task.unit().scratch().size());
  const ByteOffset at = progress.at;
  progress.at.value += bytes;
  progress.left.value -= bytes;
  return task.write(at, task.unit().scratch().first(bytes), task.unit().durability(false), write_copies);
}

Flow scratch_borrowed(Task& task, IoStatus) {
  const std::size_t block = task.unit().block_bytes();
  const auto scratch = task.unit().scratch();
  const std::size_t used = std::min<std::uint64_t>(scratch.size(), task.progress.left.value);
  if (no_data_out(task))
    std::ranges::fill(scratch.first(used), std::byte{0});
  else
    for (std::size_t at = 0; at < used; at += block) std::memcpy(&scratch[at], task.data().data(), block);
  return write_copies(task, IoStatus::Ok);
}

Flow zeroes_written(Task& task, IoStatus status) {
  if (status == IoStatus::NotSupported) return task.borrow(task.unit().scratch_lock(), scratch_borrowed);
  return answer(task, status);
}

Flow write_zeroes(Task& task) {
  return task.write_zeroes(task.progress.at, task.progress.left, task.unit().durability(false),
                           zeroes_written);
}

// progress.piece is the one just discarded.
Flow discard_next(Task& task, IoStatus status) {
  // What was discarded before reads as zeroes already; the rest may as well be written.
  if (status == IoStatus::NotSupported) return write_zeroes(task);
  if (status != IoStatus::Ok) return task.fail(status);
  Task::Progress& progress = task.progress;
  progress.at.value += progress.piece.value;
  progress.left.value -= progress.piece.value;
  if (progress.left.value == 0) return task.unit().write_cache() ? task.good() : task.flush(answer);
  progress.piece = task.unit().discard_piece(progress.at, progress.left);
  return task.discard(progress.at, progress.piece, discard_next);
}

Flow locked(Task& task, IoStatus) {
  const Unit& unit = task.unit();
  if (!block_is_zero(task)) return task.borrow(task.unit().scratch_lock(), scratch_borrowed);
  const bool may_discard = task.cdb().bit(1, kUnmapBit) && unit.geometry().discard_zeroes;
  return may_discard ? discard_next(task, IoStatus::Ok) : write_zeroes(task);
}

}  // namespace

Flow write_same(Task& task) {
  const Unit& unit = task.unit();
  const std::size_t cdb_bytes = task.row().cdb_bytes();
  const Extent named = extent_of(task.cdb(), cdb_bytes);
  const bool to_the_end = named.count.value == 0;  // WSNZ 0 in VPD B0h
  // At least the one block at LBA must be there.
  if (const auto sense =
          refuse_outside(unit, {named.first, to_the_end ? BlockCount{1} : named.count}, cdb_bytes))
    return task.fail(*sense);
  const Extent extent{named.first,
                      to_the_end ? BlockCount{unit.capacity().value - named.first.value} : named.count};
  if (extent.count.value > unit.limits().max_write_same)
    return task.fail(invalid_cdb(extent_fields(cdb_bytes).count_byte));
  // One block and nothing else: with another length it is not clear what the initiator means.
  if (!no_data_out(task) && task.data().size() != unit.block_bytes())
    return task.fail(illegal_request(asc::kInvalidFieldInInformationUnit));
  task.progress.at = unit.offset_of(extent.first);
  task.progress.left = unit.bytes_of(extent.count);
  return task.lock(range_of(extent), locked);
}

}  // namespace bulkhead::scsi
