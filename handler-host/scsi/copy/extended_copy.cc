// EXTENDED COPY(LID1) and EXTENDED COPY(LID4) (SPC-4, the clauses of these names), within this logical unit.
//
// A host has one logical unit and, deliberately, no way to another. So a copy source or destination is this
// unit, named by a designator made of its serial or by CSCD ID FFFFh, or it is not reachable: COPY ABORTED,
// COPY TARGET DEVICE NOT REACHABLE, as tcmu-runner answers since CVE-2021-3139. Initiators then read and
// write themselves.
//
// Everything is checked before the first block moves. What is wrong with the list in itself is an ILLEGAL
// REQUEST. A segment that can't be copied is COPY ABORTED with its number if it is the first; a later one is
// an ILLEGAL REQUEST too, because COPY ABORTED would say that the segments before it were copied.
//
// A segment whose two ranges overlap comes out as if all of it were read before any of it is written: it is
// copied from its end if the destination is the higher one. A command that failed after a write is not
// answered BUSY: the initiator would repeat it and copy what it has overwritten.
//
// The destinations are locked, from the lowest block to the highest, until the command is answered (why all
// that is between them: unmap.cc). Copies go through a buffer of their own, one command at a time.
#include <algorithm>

#include "handler-host/scsi/commands.h"
#include "handler-host/scsi/copy/copy_list.h"
#include "handler-host/scsi/copy/copy_results.h"
#include "handler-host/scsi/medium/extent_check.h"
#include "handler-host/scsi/report/identity.h"
#include "handler-host/scsi/task.h"
#include "handler-host/scsi/unit.h"

namespace bulkhead::scsi {
namespace {

using handler::IoStatus;
using Side = SegmentFailure::Side;

constexpr std::uint8_t kLid4ServiceAction = 0x01;

std::span<const std::uint8_t> parameter_list(Task& task) {
  return task.list().first(task.cdb().u32<10>());
}

CheckedCopyList check(Task& task) {
  const bool lid4 = task.row().service_action == kLid4ServiceAction;
  return check_copy_list(parameter_list(task), lid4 ? ListIdBytes::Four : ListIdBytes::One);
}

// Why a segment can't be copied: as COPY ABORTED, and where the reason is in the list. `answer`: what the
// logical unit says to the read or write that the copy would need.
struct Fault {
  AdditionalSense code;
  std::uint16_t field = 0;
  Side side = Side::Neither;
  AdditionalSense answer = asc::kNone;
};

Sense copy_aborted(std::uint16_t segment, const Fault& fault) {
  Sense sense{SenseKey::CopyAborted, fault.code};
  sense.field = FieldPointer{FieldPointer::Where::ParameterList, fault.field, std::nullopt};
  sense.segment = SegmentFailure{segment, fault.side, SenseKey::IllegalRequest, fault.answer};
  return sense;
}

Sense not_begun(const Fault& fault) {
  if (fault.answer == asc::kNone) return invalid_parameter(fault.field);
  Sense sense = illegal_request(fault.answer);
  sense.field = FieldPointer{FieldPointer::Where::ParameterList, fault.field, std::nullopt};
  return sense;
}

// One segment, as bytes of this unit.
struct Move {
  ByteOffset from;
  ByteOffset to;
  ByteCount length;
};

std::optional<ByteOffset> place(const Unit& unit, const SegmentEnd& end, std::uint64_t bytes) {
  Lba first;
  if (__builtin_add_overflow(end.lba, end.byte_offset / unit.block_bytes(), &first.value))
    return std::nullopt;
  if (!unit.contains(Extent{first, BlockCount{bytes / unit.block_bytes()}})) return std::nullopt;
  return unit.offset_of(first);
}

std::optional<Fault> locate(const Unit& unit, const Segment& segment, Move& move) {
  const std::uint32_t block = unit.block_bytes();
  if (segment.bytes % block != 0 || segment.source.byte_offset % block != 0 ||
      segment.destination.byte_offset % block != 0)
    return Fault{asc::kSegmentGranularityViolation, segment.count_field};
  const auto from = place(unit, segment.source, segment.bytes);
  if (!from) return Fault{asc::kNone, segment.source.lba_field, Side::Source, asc::kLbaOutOfRange};
  const auto to = place(unit, segment.destination, segment.bytes);
  if (!to) return Fault{asc::kNone, segment.destination.lba_field, Side::Destination, asc::kLbaOutOfRange};
  move = {*from, *to, ByteCount{segment.bytes}};
  return std::nullopt;
}

// Is it this unit that a segment means?
std::optional<Fault> unreachable(Task& task, const CopyList& copy, const SegmentEnd& end) {
  if (end.cscd == kThisUnitCscdId) return std::nullopt;
  if (end.cscd >= copy.cscds) return Fault{asc::kUnreachableCopyTarget, end.cscd_field};
  const Cscd cscd = cscd_of(parameter_list(task), copy, end.cscd);
  const bool this_unit = !cscd.null && cscd.association == 0 &&
                         designates(task.identity(), static_cast<CodeSet>(cscd.code_set),
                                    static_cast<DesignatorType>(cscd.designator_type), cscd.designator);
  if (!this_unit) return Fault{asc::kCopyTargetNotReachable, end.cscd_field};
  if (cscd.peripheral_type != task.unit().type().peripheral_type)
    return Fault{asc::kIncorrectCopyTargetType, end.cscd_field};
  return std::nullopt;
}

// An initiator that takes this unit's blocks for longer or shorter ones than they are would have the wrong
// ones copied. 0: it does not say.
std::optional<Sense> refuse_block_length(Task& task, const CopyList& copy, const SegmentEnd& end) {
  if (end.cscd >= copy.cscds) return std::nullopt;
  const Cscd cscd = cscd_of(parameter_list(task), copy, end.cscd);
  if (cscd.block_bytes == 0 || cscd.block_bytes == task.unit().block_bytes()) return std::nullopt;
  return invalid_parameter(cscd.block_bytes_field);
}

// What encloses all destinations, or why the list can't be copied. `aborted`: it counts as begun.
struct Plan {
  BlockRange destinations{};
  std::optional<Sense> refusal = std::nullopt;
  bool aborted = false;
};

Plan plan(Task& task, const CopyList& copy) {
  const Unit& unit = task.unit();
  Plan result;
  for (std::uint16_t i = 0; i < copy.segments; ++i) {
    const Segment segment = segment_of(parameter_list(task), copy, i, unit.block_bytes());
    Move move{};
    auto fault = unreachable(task, copy, segment.source);
    if (!fault) fault = unreachable(task, copy, segment.destination);
    if (!fault) {
      if (const auto sense = refuse_block_length(task, copy, segment.source)) return {{}, sense};
      if (const auto sense = refuse_block_length(task, copy, segment.destination)) return {{}, sense};
      if (segment.bytes > kMaxSegmentBytes) return {{}, invalid_parameter(segment.count_field)};
      fault = locate(unit, segment, move);
    }
    if (fault) return {{}, i == 0 ? copy_aborted(i, *fault) : not_begun(*fault), i == 0};
    result.destinations = enclosing(result.destinations, unit.blocks_of(move.to, move.length));
  }
  return result;
}

// progress: `index` segments were begun, `left` of the last of them to be copied and `piece` of that under
// way, `at` bytes copied in all; `bytes` is the place of the result.
Flow copy_next(Task& task);

void record(Task& task, const std::optional<Sense>& failure) {
  const bool lid4 = task.row().service_action == kLid4ServiceAction;
  task.unit().copy_results().end(task.progress.bytes, failure, task.unit().now(),
                                 lid4 ? CopyResults::kHeldLong : CopyResults::kHeldShort);
}

Flow over(Task& task, const std::optional<Sense>& failure) {
  record(task, failure);
  return failure ? task.fail(*failure) : task.good();
}

std::uint16_t segment_under_way(const Task& task) {
  return static_cast<std::uint16_t>(task.progress.index - 1);
}

// The logical unit could not read or write what the segment needs.
Flow failed(Task& task, IoStatus status, Side side, std::uint16_t cscd_field) {
  const bool busy = status == IoStatus::Busy;
  Sense sense = copy_aborted(segment_under_way(task),
                             Fault{busy ? asc::kThirdPartyDeviceFailure : asc::kNone, cscd_field});
  if (!busy) {
    const Sense answer = task.sense_of(status, side == Side::Source ? Access::Reads : Access::Writes);
    sense.segment = SegmentFailure{segment_under_way(task), side, answer.key, answer.code};
  }
  if (busy && task.progress.at.value == 0) {
    task.unit().copy_results().drop(task.progress.bytes);
    return task.busy();
  }
  record(task, sense);
  return task.fail(status, sense);
}

// The piece under way, and its segment.
struct Current {
  Segment segment;
  Move piece{};
  std::optional<Fault> fault;
};

Current current(Task& task) {
  const Unit& unit = task.unit();
  const Task::Progress& progress = task.progress;
  const CheckedCopyList checked = check(task);
  BULKHEAD_CHECK(!checked.refusal);
  Current result{segment_of(parameter_list(task), checked.list, segment_under_way(task), unit.block_bytes()),
                 {},
                 std::nullopt};
  Move whole{};
  result.fault = locate(unit, result.segment, whole);
  const bool upwards = whole.to > whole.from;
  const std::uint64_t skip =
      upwards ? progress.left.value - progress.piece.value : result.segment.bytes - progress.left.value;
  result.piece = {ByteOffset{whole.from.value + skip}, ByteOffset{whole.to.value + skip}, progress.piece};
  return result;
}

std::span<std::byte> buffer(Task& task) {
  return task.unit().copy_buffer().first(task.progress.piece.value);
}

Flow piece_written(Task& task, IoStatus status) {
  Task::Progress& progress = task.progress;
  if (status != IoStatus::Ok)
    return failed(task, status, Side::Destination, current(task).segment.destination.cscd_field);
  progress.at.value += progress.piece.value;
  progress.left.value -= progress.piece.value;
  return copy_next(task);
}

// A fault that was none when the list was checked: the device shrank meanwhile.
Flow piece_read(Task& task, IoStatus status) {
  const Current now = current(task);
  if (status != IoStatus::Ok) return failed(task, status, Side::Source, now.segment.source.cscd_field);
  if (now.fault) return over(task, copy_aborted(segment_under_way(task), *now.fault));
  return task.write(now.piece.to, buffer(task), task.unit().durability(false), piece_written);
}

Flow copy_next(Task& task) {
  Unit& unit = task.unit();
  Task::Progress& progress = task.progress;
  const CheckedCopyList checked = check(task);
  BULKHEAD_CHECK(!checked.refusal);
  for (;;) {
    unit.copy_results().progress(progress.bytes, progress.at.value,
                                 static_cast<std::uint16_t>(progress.index));
    if (progress.left.value > 0) break;
    if (progress.index == checked.list.segments) return over(task, std::nullopt);
    const auto index = static_cast<std::uint16_t>(progress.index++);
    progress.left.value = segment_of(parameter_list(task), checked.list, index, unit.block_bytes()).bytes;
  }
  progress.piece.value = std::min<std::uint64_t>(progress.left.value, unit.copy_buffer().size());
  const Current now = current(task);
  if (now.fault) return over(task, copy_aborted(segment_under_way(task), *now.fault));
  return task.read(now.piece.from, buffer(task), piece_read);
}

Flow buffer_borrowed(Task& task, IoStatus) {
  return copy_next(task);
}

Flow no_atomic_write(Task& task, IoStatus) {
  return task.borrow(task.unit().copy_lock(), buffer_borrowed);
}

// A copy reads in pieces, and must not see half of what WRITE ATOMIC writes.
Flow locked(Task& task, IoStatus) {
  return task.hold_off_atomic_writes({0, task.unit().capacity().value}, no_atomic_write);
}

void forget_result(Task& task) {
  task.unit().copy_results().drop(task.progress.bytes);
}

Flow identified(Task& task, IoStatus status) {
  if (status != IoStatus::Ok) return task.fail(status);
  // Again: that took its time.
  if (const auto refusal = task.refusal()) return task.fail(*refusal);
  Unit& unit = task.unit();
  const CopyList copy = check(task).list;
  const Plan planned = plan(task, copy);
  if (planned.refusal && !planned.aborted) return task.fail(*planned.refusal);
  task.progress.bytes = CopyResults::kNowhere;
  if (copy.identified) {
    const auto action = static_cast<std::uint8_t>(task.row().service_action);
    const auto result = unit.copy_results().begin(copy.id, action, unit.now());
    if (!result) return task.busy();
    task.progress.bytes = *result;
  }
  task.undo = forget_result;
  if (planned.refusal) return over(task, planned.refusal);
  return task.lock(planned.destinations, locked);
}

}  // namespace

Flow extended_copy(Task& task) {
  const std::size_t length = task.cdb().u32<10>();
  if (length == 0) return task.good();
  if (length > task.data().size()) return task.fail(illegal_request(asc::kInvalidFieldInInformationUnit));
  const CheckedCopyList checked = check(task);
  if (checked.refusal) return task.fail(*checked.refusal);
  // Designators are compared with what VPD 83h shows now (inquiry.cc).
  return task.ask_identity(identified);
}

}  // namespace bulkhead::scsi
