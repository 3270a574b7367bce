// GET LBA STATUS(16) (SBC-4, "GET LBA STATUS (16) command").
//
// Parameter data:  0 PARAMETER DATA LENGTH | 4 reserved | 7 COMPLETION CONDITION, RTP | 8 descriptors of 16
// bytes:
//                  0 LBA | 8 NUMBER OF LOGICAL BLOCKS | 12 PROVISIONING STATUS | 13 ADDITIONAL STATUS
//
// The handler is asked for one run after the other, from the starting LBA on. Equal neighbours become one
// extent; an extent of 2^32 blocks and more takes several descriptors. They are put into the initiator's
// buffer as they come, as many as it and the allocation length take whole.
//
// What the handler says is a moment's truth: writes go on meanwhile, as the standard allows, so nothing is
// locked.
#include <algorithm>
#include <array>
#include <limits>
#include <utility>

#include "base/endian.h"
#include "base/error.h"
#include "handler-host/scsi/commands.h"
#include "handler-host/scsi/medium/extent_check.h"
#include "handler-host/scsi/task.h"
#include "handler-host/scsi/unit.h"

namespace bulkhead::scsi {
namespace {

using handler::IoStatus;
using handler::Provisioning;

constexpr std::size_t kHeaderBytes = 8;
constexpr std::size_t kDescriptorBytes = 16;
constexpr std::uint64_t kMostBlocks = std::numeric_limits<std::uint32_t>::max();
constexpr std::size_t kReportTypeByte = 14;

// One command asks the handler no more often: a file in a million pieces must not hold up a command for
// seconds. The initiator goes on where the last descriptor ends.
constexpr std::uint32_t kMostQuestions = 4096;

// SBC-4, the REPORT TYPE field: which extents are wanted. The last two never match anything here.
enum class ReportType : std::uint8_t {
  All = 0x00,
  NotMapped = 0x01,  // a provisioning status other than 0
  Mapped = 0x02,
  Deallocated = 0x03,
  Anchored = 0x04,
  Unrecovered = 0x10,  // LBAs that may return an unrecovered error
};

// SBC-4, the COMPLETION CONDITION field.
enum class Ended : std::uint8_t { NotSaid = 0, AtAllocationLength = 1, AtCapacity = 3 };

std::optional<ReportType> report_type(const Task& task) {
  const std::uint8_t value = task.cdb()[kReportTypeByte];
  if (value > 0x04 && value != 0x10) return std::nullopt;
  return static_cast<ReportType>(value);
}

bool wanted(const Task& task, Provisioning provisioning) {
  switch (*report_type(task)) {
    case ReportType::All:
      return true;
    case ReportType::Mapped:
      return provisioning == Provisioning::Mapped;
    case ReportType::NotMapped:
    case ReportType::Deallocated:
      return provisioning == Provisioning::Deallocated;
    case ReportType::Anchored:
    case ReportType::Unrecovered:
      return false;
  }
  return false;
}

// What may be put into the buffer.
std::size_t room(Task& task) {
  return std::min<std::uint64_t>(task.cdb().u32<10>(), task.data().size());
}

// At least one, so that PARAMETER DATA LENGTH does not depend on an allocation length that takes none.
std::size_t most_descriptors(Task& task) {
  const std::size_t bytes = room(task);
  return bytes < kHeaderBytes + kDescriptorBytes ? 1 : (bytes - kHeaderBytes) / kDescriptorBytes;
}

// As much of it as there is room for.
void put(Task& task, std::size_t at, std::span<const std::uint8_t> bytes) {
  const std::size_t end = room(task);
  if (at >= end) return;
  std::ranges::copy(std::as_bytes(bytes.first(std::min(bytes.size(), end - at))),
                    task.data().begin() + static_cast<std::ptrdiff_t>(at));
}

void put_descriptor(Task& task, std::size_t index, std::uint64_t lba, std::uint64_t blocks) {
  std::array<std::uint8_t, kDescriptorBytes> bytes{};
  put_be64(std::span(bytes).first<8>(), lba);
  put_be32(std::span(bytes).subspan<8, 4>(), static_cast<std::uint32_t>(blocks));
  bytes[12] = task.progress.provisioning == Provisioning::Deallocated ? 1 : 0;
  put(task, kHeaderBytes + index * kDescriptorBytes, bytes);
}

Flow answer(Task& task, Ended ended) {
  const std::size_t bytes = kHeaderBytes + task.progress.index * kDescriptorBytes;
  std::array<std::uint8_t, kHeaderBytes> header{};
  put_be32(std::span(header).first<4>(), static_cast<std::uint32_t>(bytes - 4));
  header[7] = static_cast<std::uint8_t>(std::to_underlying(ended) << 1 | 1);  // RTP: the type was heeded
  put(task, 0, header);
  return task.good(std::min(bytes, room(task)));
}

// Describes the extent that ends at progress.at. False: there is no room for all of it.
bool describe_extent(Task& task) {
  const Unit& unit = task.unit();
  Task::Progress& progress = task.progress;
  std::uint64_t blocks = progress.piece.value / unit.block_bytes();
  std::uint64_t lba = progress.at.value / unit.block_bytes() - blocks;
  progress.piece = {};
  if (blocks == 0 || !wanted(task, progress.provisioning)) return true;
  while (blocks > 0) {
    if (progress.index == most_descriptors(task)) return false;
    const std::uint64_t some = std::min(blocks, kMostBlocks);
    put_descriptor(task, progress.index++, lba, some);
    lba += some;
    blocks -= some;
  }
  return true;
}

Flow ask_on(Task& task);

// progress: `at` is where the next run starts, `left` what there is from there on, `piece` the extent before
// it that is not described yet, of `provisioning`; `index` descriptors are put, `bytes` questions were asked.
Flow found(Task& task, IoStatus status) {
  Task::Progress& progress = task.progress;
  handler::Run run = task.run();
  if (status == IoStatus::NotSupported)
    run = {Provisioning::Mapped, progress.left};
  else if (status != IoStatus::Ok)
    return task.fail(status);
  BULKHEAD_CHECK(run.length.value > 0 && run.length.value <= progress.left.value &&
                 run.length.value % task.unit().block_bytes() == 0);
  if (run.provisioning != progress.provisioning) {
    if (!describe_extent(task)) return answer(task, Ended::AtAllocationLength);
    progress.provisioning = run.provisioning;
  }
  progress.at.value += run.length.value;
  progress.left.value -= run.length.value;
  progress.piece.value += run.length.value;
  return ask_on(task);
}

Flow ask_on(Task& task) {
  Task::Progress& progress = task.progress;
  const bool at_end = progress.left.value == 0;
  if (!at_end && progress.bytes++ < kMostQuestions && progress.index < most_descriptors(task))
    return task.find_run(progress.at, progress.left, found);
  if (!describe_extent(task)) return answer(task, Ended::AtAllocationLength);
  if (at_end) return answer(task, Ended::AtCapacity);
  return answer(task, progress.index < most_descriptors(task) ? Ended::NotSaid : Ended::AtAllocationLength);
}

}  // namespace

Flow get_lba_status(Task& task) {
  const Unit& unit = task.unit();
  const Lba first{task.cdb().u64<2>()};
  if (!report_type(task)) return task.fail(invalid_cdb(kReportTypeByte));
  if (const auto sense = refuse_outside(unit, {first, BlockCount{1}}, 16)) return task.fail(*sense);
  Task::Progress& progress = task.progress;
  progress.at = unit.offset_of(first);
  progress.left = unit.bytes_of({unit.capacity().value - first.value});
  // A fully provisioned unit has nothing but mapped blocks, and the other two are not known here.
  const bool nothing_to_find = *report_type(task) >= ReportType::Anchored;
  if (unit.geometry().can_discard && !nothing_to_find) return ask_on(task);
  progress.at.value += progress.left.value;
  progress.piece = std::exchange(progress.left, ByteCount{});
  return ask_on(task);
}

}  // namespace bulkhead::scsi
