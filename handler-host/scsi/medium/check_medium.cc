#include "handler-host/scsi/medium/check_medium.h"

#include <algorithm>
#include <cstring>

#include "handler-host/scsi/unit.h"

namespace bulkhead::scsi {
namespace {

using handler::IoStatus;

// How many bytes at the start of two ranges of the same length are the same.
std::size_t equal_bytes(std::span<const std::byte> a, std::span<const std::byte> b) {
  if (std::memcmp(a.data(), b.data(), a.size()) == 0) return a.size();
  return static_cast<std::size_t>(std::ranges::mismatch(a, b).in1 - a.begin());
}

std::size_t equal_blocks(std::span<const std::byte> many, std::span<const std::byte> one) {
  for (std::size_t at = 0; at < many.size(); at += one.size()) {
    const std::size_t equal = equal_bytes(many.subspan(at, one.size()), one);
    if (equal < one.size()) return at + equal;
  }
  return many.size();
}

// progress.bytes: where in the data-out buffer the piece has its counterpart.
std::size_t agreeing(Task& task, std::span<const std::byte> piece) {
  switch (static_cast<Against>(task.progress.index)) {
    case Against::Nothing:
      break;
    case Against::DataOut:
      return equal_bytes(piece, task.data().subspan(task.progress.bytes, piece.size()));
    case Against::OneBlock:
      return equal_blocks(piece, task.data().first(task.unit().block_bytes()));
  }
  return piece.size();
}

Flow piece_read(Task& task, IoStatus status);

Flow read_piece(Task& task, IoStatus) {
  Task::Progress& progress = task.progress;
  if (progress.left.value == 0) return progress.then(task, IoStatus::Ok);
  const auto scratch = task.unit().scratch();
  progress.piece.value = std::min<std::uint64_t>(progress.left.value, scratch.size());
  return task.read(progress.at, scratch.first(progress.piece.value), piece_read);
}

Flow piece_read(Task& task, IoStatus status) {
  Task::Progress& progress = task.progress;
  if (status != IoStatus::Ok) return progress.then(task, status);
  const std::uint64_t bytes = progress.piece.value;
  const std::size_t equal = agreeing(task, task.unit().scratch().first(bytes));
  progress.at.value += equal;
  if (equal < bytes) return progress.then(task, IoStatus::Ok);
  progress.left.value -= bytes;
  if (static_cast<Against>(progress.index) == Against::DataOut)
    progress.bytes += static_cast<std::uint32_t>(bytes);
  return read_piece(task, IoStatus::Ok);
}

}  // namespace

Flow check_medium(Task& task, ByteOffset from, ByteCount length, Against against, Task::Step then) {
  task.progress = {};
  task.progress.at = from;
  task.progress.left = length;
  task.progress.index = static_cast<std::uint32_t>(against);
  task.progress.then = then;
  return task.borrow(task.unit().scratch_lock(), read_piece);
}

// INFORMATION is the first block that differs: SBC-4, "Sense data for direct access block devices", has an
// LBA there for whatever concerns a block, and of the commands that compare COMPARE AND WRITE alone says
// otherwise.
Flow answer_check(Task& task, IoStatus status) {
  if (status != IoStatus::Ok) return task.fail(status);
  if (task.progress.left.value == 0) return task.good();
  return task.fail(Sense{.key = SenseKey::Miscompare,
                         .code = asc::kMiscompare,
                         .information = task.progress.at.value / task.unit().block_bytes()});
}

}  // namespace bulkhead::scsi
