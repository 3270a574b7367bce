// UNMAP (SBC-3, "UNMAP command").
//
// The parameter list:  0 UNMAP DATA LENGTH | 2 BLOCK DESCRIPTOR DATA LENGTH | 4 reserved | 8 descriptors of
// 16 bytes:
//                      0 LBA | 8 NUMBER OF LOGICAL BLOCKS | 12 reserved
// All of it is checked before anything is unmapped. A descriptor that PARAMETER LIST LENGTH cuts off, wholly
// or in part, is ignored, as the standard says; nothing is read beyond the list.
//
// From the lowest to the highest block everything is locked until the command is answered: a replay after a
// host's death does the whole list again, and must not meet a block that a later write was answered for. One
// range, because only that can be had on arrival, before anything later is looked at.
#include <algorithm>

#include "base/endian.h"
#include "handler-host/scsi/commands.h"
#include "handler-host/scsi/medium/extent_check.h"
#include "handler-host/scsi/task.h"
#include "handler-host/scsi/unit.h"

namespace bulkhead::scsi {
namespace {

using handler::IoStatus;

constexpr std::size_t kHeaderBytes = 8;
constexpr std::size_t kDescriptorBytes = 16;

Extent descriptor(std::span<const std::uint8_t> list, std::size_t index) {
  const auto bytes = list.subspan(kHeaderBytes + index * kDescriptorBytes).first<kDescriptorBytes>();
  return {Lba{be64(bytes.first<8>())}, BlockCount{be32(bytes.subspan<8, 4>())}};
}

// Number of descriptors, or why not.
struct Checked {
  std::uint32_t descriptors = 0;
  std::optional<Sense> refusal = std::nullopt;
};

Checked refused(const Sense& sense) {
  return {0, sense};
}

Checked check(const Unit& unit, std::span<const std::uint8_t> list) {
  const std::size_t announced = be16(list.subspan(2).first<2>());
  if (be16(list.first<2>()) < announced + kHeaderBytes - 2) return refused(invalid_parameter(0));
  const std::size_t count = std::min(announced, list.size() - kHeaderBytes) / kDescriptorBytes;

  const Limits limits = unit.limits();
  if (count > limits.max_unmap_descriptors) return refused(invalid_parameter(2));
  std::uint64_t total = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const Extent extent = descriptor(list, i);
    const auto at = static_cast<std::uint16_t>(kHeaderBytes + i * kDescriptorBytes);
    if (!unit.contains(extent)) {
      Sense sense = illegal_request(asc::kLbaOutOfRange);
      sense.field = FieldPointer{FieldPointer::Where::ParameterList, at, std::nullopt};
      return refused(sense);
    }
    total += extent.count.value;
    if (total > limits.max_unmap) return refused(invalid_parameter(static_cast<std::uint16_t>(at + 8)));
  }
  return {static_cast<std::uint32_t>(count), std::nullopt};
}

std::span<const std::uint8_t> parameter_list(Task& task) {
  return task.list().first(task.cdb().u16<7>());
}

// progress: `piece` was just discarded at `at`, `left` of this descriptor were left before; `index`
// descriptors of `bytes` were begun. The first failure ends the command: what was discarded before stays
// discarded, as SBC-3 allows.
Flow discard_next(Task& task, IoStatus status) {
  if (status != IoStatus::Ok) return task.fail(status);
  Unit& unit = task.unit();
  Task::Progress& progress = task.progress;
  progress.at.value += progress.piece.value;
  progress.left.value -= progress.piece.value;
  while (progress.left.value == 0) {
    // What was answered must stay true without a cache, also after a power cut.
    if (progress.index == progress.bytes) return unit.write_cache() ? task.good() : task.flush(answer);
    const Extent extent = descriptor(parameter_list(task), progress.index++);
    progress.at = unit.offset_of(extent.first);
    progress.left = unit.bytes_of(extent.count);
  }
  progress.piece = unit.discard_piece(progress.at, progress.left);
  return task.discard(progress.at, progress.piece, discard_next);
}

Flow locked(Task& task, IoStatus) {
  return discard_next(task, IoStatus::Ok);
}

// What encloses all of the list's blocks.
BlockRange hull(std::span<const std::uint8_t> list, std::uint32_t descriptors) {
  BlockRange all;
  for (std::uint32_t i = 0; i < descriptors; ++i) all = enclosing(all, range_of(descriptor(list, i)));
  return all;
}

}  // namespace

Flow unmap(Task& task) {
  const std::size_t length = task.cdb().u16<7>();
  if (length == 0) return task.good();
  if (length < kHeaderBytes || length > task.data().size())
    return task.fail(illegal_request(asc::kParameterListLengthError));
  const Checked checked = check(task.unit(), parameter_list(task));
  if (checked.refusal) return task.fail(*checked.refusal);
  if (checked.descriptors == 0) return task.good();
  task.progress.bytes = checked.descriptors;
  return task.lock(hull(parameter_list(task), checked.descriptors), locked);
}

}  // namespace bulkhead::scsi
