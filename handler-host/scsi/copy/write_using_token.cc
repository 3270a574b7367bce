// WRITE USING TOKEN (SBC-4, the clause of this name): writes what a token stands for, or zeroes for the block
// device zero ROD token.
//
// The token is looked at after each read: if it is not revoked by then, no change of its blocks was begun,
// and what was read is what it promised. Otherwise the command ends with TOKEN REVOKED, and the initiator
// writes the whole itself. Because each write revokes the tokens of what it writes, a destination that
// overlaps the token's own blocks is refused.
//
// The destination is locked as a whole until the command is answered (why: unmap.cc).
#include <algorithm>

#include "base/endian.h"
#include "handler-host/scsi/commands.h"
#include "handler-host/scsi/copy/offload.h"
#include "handler-host/scsi/medium/extent_check.h"
#include "handler-host/scsi/task.h"
#include "handler-host/scsi/unit.h"

namespace bulkhead::scsi {
namespace {

using handler::IoStatus;

// progress: `bytes` is the place of the result, `index` that of the token; `at` bytes are written, `left` are
// to be, `piece` is under way.
constexpr std::uint32_t kZeroes = RodTokens::kCapacity;            // no token: the handler zeroes
constexpr std::uint32_t kZeroesByHand = RodTokens::kCapacity + 1;  // it can't

std::span<const std::uint8_t> parameter_list(Task& task) {
  return task.list().first(task.cdb().u32<10>());
}

bool has_token(const Task& task) {
  return task.progress.index < RodTokens::kCapacity;
}

// Gives the token back.
void let_go(Task& task) {
  if (!has_token(task)) return;
  const bool remove = check_write_using_token(parameter_list(task)).delete_token;
  task.unit().rod_tokens().release(task.progress.index,
                                   remove ? RodTokens::Afterwards::Delete : RodTokens::Afterwards::Keep,
                                   task.unit().now());
}

// As if the command had not been.
void give_back(Task& task) {
  task.unit().copy_results().drop(task.progress.bytes);
  if (has_token(task))
    task.unit().rod_tokens().release(task.progress.index, RodTokens::Afterwards::Keep, task.unit().now());
}

Flow over(Task& task, const std::optional<Sense>& failure) {
  let_go(task);
  task.unit().copy_results().end(task.progress.bytes, failure, task.unit().now(), CopyResults::kHeldLong);
  return failure ? task.fail(*failure) : task.good();
}

Flow failed(Task& task, IoStatus status, Access operation) {
  if (status == IoStatus::Busy) {
    // To be repeated as a whole, which is as good: nothing it reads has changed.
    give_back(task);
    return task.busy();
  }
  let_go(task);
  const Sense sense = task.sense_of(status, operation);
  task.unit().copy_results().end(task.progress.bytes, sense, task.unit().now(), CopyResults::kHeldLong);
  return task.fail(status, sense);
}

Sense token_error(AdditionalSense code) {
  Sense sense = illegal_request(code);
  sense.field = FieldPointer{FieldPointer::Where::ParameterList, kRodTokenByte, std::nullopt};
  return sense;
}

// Where the next byte goes, and how many more may follow it there.
BlockRange destination_run(Task& task) {
  const auto list = parameter_list(task);
  const RangeList ranges = check_write_using_token(list).ranges;
  std::uint64_t skip = task.progress.at.value / task.unit().block_bytes();
  for (std::uint16_t i = 0; i < ranges.count; ++i) {
    const BlockRange range = range_of(range_at(list, ranges, i));
    if (skip < range.end - range.first) return {range.first + skip, range.end};
    skip -= range.end - range.first;
  }
  return {};
}

BlockRange source_run(Task& task) {
  const std::uint64_t done = task.progress.at.value / task.unit().block_bytes();
  return task.unit().rod_tokens().run(task.progress.index,
                                      check_write_using_token(parameter_list(task)).offset + done);
}

std::uint64_t bytes_of(const Unit& unit, const BlockRange& run) {
  return unit.bytes_of(BlockCount{run.end - run.first}).value;
}

std::span<std::byte> buffer(Task& task) {
  return task.unit().copy_buffer().first(task.progress.piece.value);
}

Flow write_next(Task& task);

Flow piece_written(Task& task, IoStatus status) {
  if (status != IoStatus::Ok) return failed(task, status, Access::Writes);
  task.progress.at.value += task.progress.piece.value;
  task.progress.left.value -= task.progress.piece.value;
  task.unit().copy_results().progress(task.progress.bytes, task.progress.at.value, 0);
  return write_next(task);
}

Flow write_piece(Task& task) {
  const Lba to{destination_run(task).first};
  return task.write(task.unit().offset_of(to), buffer(task), task.unit().durability(false), piece_written);
}

Flow piece_read(Task& task, IoStatus status) {
  if (status != IoStatus::Ok) return failed(task, status, Access::Reads);
  if (task.unit().rod_tokens().revoked(task.progress.index))
    return over(task, token_error(asc::kTokenRevoked));
  return write_piece(task);
}

Flow zeroes_borrowed(Task& task, IoStatus) {
  std::ranges::fill(task.unit().copy_buffer(), std::byte{0});
  return write_next(task);
}

Flow zeroes_written(Task& task, IoStatus status) {
  if (status != IoStatus::NotSupported) return piece_written(task, status);
  task.progress.index = kZeroesByHand;
  return task.borrow(task.unit().copy_lock(), zeroes_borrowed);
}

Flow write_next(Task& task) {
  Unit& unit = task.unit();
  Task::Progress& progress = task.progress;
  if (progress.left.value == 0) return over(task, std::nullopt);
  const BlockRange to = destination_run(task);
  progress.piece.value = bytes_of(unit, to);
  if (progress.index == kZeroes)
    return task.write_zeroes(unit.offset_of(Lba{to.first}), progress.piece, unit.durability(false),
                             zeroes_written);
  progress.piece.value = std::min<std::uint64_t>(progress.piece.value, unit.copy_buffer().size());
  if (progress.index == kZeroesByHand) return write_piece(task);
  const BlockRange from = source_run(task);
  progress.piece.value = std::min(progress.piece.value, bytes_of(unit, from));
  return task.read(unit.offset_of(Lba{from.first}), buffer(task), piece_read);
}

Flow buffer_borrowed(Task& task, IoStatus) {
  return write_next(task);
}

Flow locked(Task& task, IoStatus) {
  return has_token(task) ? task.borrow(task.unit().copy_lock(), buffer_borrowed) : write_next(task);
}

// The place of the token, or kZeroes, or why it can't be used.
struct Usable {
  std::uint32_t place = 0;
  std::optional<Sense> refusal = std::nullopt;
};

Usable unusable(AdditionalSense code) {
  return {0, token_error(code)};
}

Usable look_up(Task& task) {
  const auto token = parameter_list(task).subspan<kRodTokenByte, kRodTokenBytes>();
  const std::uint32_t type = be32(token.first<4>());
  if (type != kBlockZeroRod && type != kChangeVulnerableRod) return unusable(asc::kUnsupportedTokenType);
  if (be16(token.subspan<6, 2>()) != kRodTokenBytes - 8) return unusable(asc::kInvalidTokenLength);
  if (type == kBlockZeroRod) return {kZeroes};
  const RodTokens::Found found = task.unit().rod_tokens().find(token, task.unit().now());
  switch (found.state) {
    case RodTokens::State::Unknown:
      return unusable(asc::kTokenUnknown);
    case RodTokens::State::Revoked:
      return unusable(asc::kTokenRevoked);
    case RodTokens::State::Expired:
      return unusable(asc::kTokenExpired);
    case RodTokens::State::Valid:
      break;
  }
  return {found.place};
}

// What the token has to do with the destination.
std::optional<Sense> refuse_use(Task& task, std::uint32_t place, const WriteUsingTokenList& asked,
                                std::uint64_t blocks) {
  if (place == kZeroes) return std::nullopt;
  const RodTokens& tokens = task.unit().rod_tokens();
  const std::uint64_t there = tokens.blocks(place);
  if (asked.offset > there || blocks > there - asked.offset) return invalid_parameter(kOffsetIntoRodByte);
  for (std::uint16_t i = 0; i < asked.ranges.count; ++i)
    if (tokens.overlaps(place, range_of(range_at(parameter_list(task), asked.ranges, i))))
      return invalid_parameter(range_field(asked.ranges, i));
  return std::nullopt;
}

}  // namespace

Flow write_using_token(Task& task) {
  const std::size_t length = task.cdb().u32<10>();
  if (length == 0) return task.good();
  if (length > task.data().size()) return task.fail(illegal_request(asc::kInvalidFieldInInformationUnit));
  Unit& unit = task.unit();
  const WriteUsingTokenList asked = check_write_using_token(parameter_list(task));
  if (asked.refusal) return task.fail(*asked.refusal);
  const CheckedRanges ranges = check_ranges(unit, parameter_list(task), asked.ranges);
  if (ranges.refusal) return task.fail(*ranges.refusal);
  const Usable token = look_up(task);
  if (token.refusal) return task.fail(*token.refusal);
  if (const auto sense = refuse_use(task, token.place, asked, ranges.blocks)) return task.fail(*sense);

  const auto action = static_cast<std::uint8_t>(task.row().service_action);
  const auto result = unit.copy_results().begin(task.cdb().u32<6>(), action, unit.now());
  if (!result) return task.busy();
  task.progress.bytes = *result;
  task.progress.index = token.place;
  task.progress.left = unit.bytes_of(BlockCount{ranges.blocks});
  if (has_token(task)) unit.rod_tokens().use(token.place);
  task.undo = give_back;
  return task.lock(ranges.hull, locked);
}

}  // namespace bulkhead::scsi
