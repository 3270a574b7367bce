#include "handler-host/scsi/task.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>

#include "base/error.h"
#include "handler-host/scsi/unit.h"
#include "handler-host/scsi/words.h"

namespace bulkhead::scsi {

using handler::IoStatus;

namespace {

std::optional<Sense> protection(const Unit& unit, const OpcodeRow& row) {
  if (row.access != Access::Writes || !unit.write_protected()) return std::nullopt;
  return Sense{SenseKey::DataProtect, asc::kWriteProtected};
}

}  // namespace

void Task::start(Command& command) {
  command_ = &command;
  cdb_ = Cdb(command.cdb.first(std::min<std::size_t>(command.cdb.size(), command.cdb_bytes)));
  row_ = nullptr;
  progress = {};
  undo = nullptr;
  driving_ = true;
  settle(dispatch());
}

// The checks that every command passes, in the order in which they are reported: unit attention, then what
// the opcode table says of the CDB, what a sanitize or format operation stops, then write protection.
Flow Task::dispatch() {
  const Capabilities can = unit_->capabilities();
  const Lookup found = look_up(unit_->type().opcodes, cdb_, can);
  if (found.row == nullptr || found.row->special.attention == Attention::GoesFirst) {
    if (const auto attention = unit_->unit_attention()) {
      if (!aborted()) unit_->clear_unit_attention();
      return fail(*attention);
    }
  }
  if (found.row == nullptr) return fail(found.refusal);
  row_ = found.row;
  if (const auto unfit = unit_->medium_job().refusal(*row_)) return fail(*unfit);
  if (const auto wrong = reserved_bit_set(*row_, cdb_, can))
    return fail(invalid_cdb(wrong->byte, wrong->bit));
  if (const auto refused = protection(*unit_, *row_)) return fail(*refused);
  return row_->execute(*this);
}

std::optional<Sense> Task::refusal() const {
  if (const auto unfit = unit_->medium_job().refusal(*row_)) return unfit;
  return protection(*unit_, *row_);
}

void Task::done(IoStatus status) noexcept {
  BULKHEAD_CHECK(pending_);  // a handler that ends an operation twice
  pending_ = job_awaited_ = false;
  if (flushing_) unit_->lost_writes().flush_ended(status, asks_whether_safe());
  // Of a handler that has nothing to flush: to who asks for nothing else that is an answer, to others no
  // news.
  if (flushing_ && status == IoStatus::NotSupported && kOpcodeFacts[row_->opcode].kind != CommandKind::Flush)
    status = IoStatus::Ok;
  outcome_ = status;
  if (driving_) return;  // within the call that started it: settle() goes on
  driving_ = true;
  settle(std::exchange(step_, nullptr)(*this, outcome_));
}

void Task::settle(Flow flow) {
  while (flow == Flow::Started) {
    if (pending_) {
      driving_ = false;
      return;
    }
    flow = std::exchange(step_, nullptr)(*this, outcome_);
  }
  // Finished: *this may be another command's already.
}

void Task::expect(Step next) {
  BULKHEAD_CHECK(driving_ && !pending_);
  step_ = next;
  pending_ = true;
  flushing_ = outside_ = false;
}

bool Task::expect_within(ByteOffset at, std::uint64_t bytes, Step next) {
  expect(next);
  if (unit_->contains(at, bytes)) return true;
  outside_ = true;
  done(IoStatus::BeyondEnd);
  return false;
}

Flow Task::read(ByteOffset from, std::span<std::byte> into, Step next) {
  unit_->errors().read.bytes += into.size();
  if (expect_within(from, into.size(), next)) unit_->device().read(from, into, *this);
  return Flow::Started;
}

Flow Task::write(ByteOffset to, std::span<const std::byte> from, handler::Durability durability, Step next) {
  unit_->errors().written.bytes += from.size();
  unit_->medium_changes(to, from.size());
  if (expect_within(to, from.size(), next)) unit_->device().write(to, from, durability, *this);
  return Flow::Started;
}

Flow Task::write_zeroes(ByteOffset at, ByteCount length, handler::Durability durability, Step next) {
  unit_->medium_changes(at, length.value);
  if (expect_within(at, length.value, next)) unit_->device().write_zeroes(at, length, durability, *this);
  return Flow::Started;
}

Flow Task::discard(ByteOffset at, ByteCount length, Step next) {
  unit_->medium_changes(at, length.value);
  if (expect_within(at, length.value, next)) unit_->device().discard(at, length, *this);
  return Flow::Started;
}

Flow Task::flush(Step next) {
  expect(next);
  flushing_ = true;
  // Not tried: whatever it came to, writes of before are lost.
  if (asks_whether_safe() && unit_->lost_writes().take())
    done(IoStatus::WriteError);
  else
    unit_->device().flush(*this);
  return Flow::Started;
}

// SYNCHRONIZE CACHE, and START STOP UNIT, which is only here to flush. An initiator that asks for something
// else takes the error for that thing's, and one whose command was aborted sees none.
bool Task::asks_whether_safe() const {
  constexpr std::uint8_t kStartStopUnit = 0x1b;
  if (aborted()) return false;
  return kOpcodeFacts[row_->opcode].kind == CommandKind::Flush || row_->opcode == kStartStopUnit;
}

Flow Task::find_run(ByteOffset from, ByteCount length, Step next) {
  if (expect_within(from, length.value, next)) unit_->device().provisioning(from, length, run_, *this);
  return Flow::Started;
}

Flow Task::find_space(Step next) {
  expect(next);
  unit_->device().space(space_, *this);
  return Flow::Started;
}

Flow Task::lock(BlockRange blocks, Step next) {
  expect(next);
  if (unit_->blocks().acquire(blocks_section_, blocks, *this)) done(IoStatus::Ok);
  return Flow::Started;
}

Flow Task::hold_off(RangeLock::Mode mode, BlockRange blocks, Step next) {
  expect(next);
  if (unit_->atomic_lock().acquire(atomic_section_, blocks, *this, mode)) done(IoStatus::Ok);
  return Flow::Started;
}

Flow Task::hold_off_atomic_writes(BlockRange blocks, Step next) {
  return hold_off(RangeLock::Mode::Shared, blocks, next);
}

Flow Task::hold_off_reads(BlockRange blocks, Step next) {
  return hold_off(RangeLock::Mode::Exclusive, blocks, next);
}

Flow Task::borrow(RangeLock& thing, Step next) {
  BULKHEAD_CHECK(borrowed_ == nullptr);
  expect(next);
  borrowed_ = &thing;
  if (thing.acquire(borrowed_section_, BlockRange{0, 1}, *this)) done(IoStatus::Ok);
  return Flow::Started;
}

Flow Task::run_job(const MediumPlan& plan, std::span<const std::uint8_t> pattern, Step next) {
  expect(next);
  job_awaited_ = true;
  unit_->medium_job().begin(plan, pattern, this);
  return Flow::Started;
}

Flow Task::ask_identity(Step next) {
  expect(next);
  identity_asked_ = identity_awaited_ = true;
  unit_->identity().ask([this](Result<Identity> answer) {
    identity_awaited_ = false;
    if (command_ == nullptr) {  // aborted meanwhile
      unit_->command_over();
      return let_go();
    }
    const bool known = answer.has_value();
    if (known) identity_ = std::move(*answer);
    done(known ? IoStatus::Ok : IoStatus::Busy);
  });
  return Flow::Started;
}

Flow Task::good(std::uint64_t data_bytes) {
  // The channel carries less than 4 GiB for one command.
  BULKHEAD_CHECK(data_bytes <= command_->data.size() &&
                 data_bytes <= std::numeric_limits<std::uint32_t>::max());
  return finish(good_reply(static_cast<std::uint32_t>(data_bytes)));
}

Flow Task::good(const Response& response, std::uint64_t allocation_length) {
  const std::span<std::byte> to = data();
  const std::uint64_t bytes = std::min<std::uint64_t>({response.size(), allocation_length, to.size()});
  if (bytes > 0) std::memcpy(to.data(), response.view().data(), bytes);
  return good(bytes);
}

Flow Task::fail(const Sense& sense) {
  return finish(check_condition(with_pointer(sense), unit_->sense_format()));
}

// A PARAMETER LIST LENGTH ERROR, wherever it was found, is about the one field of the CDB of that name; it
// lies where others have their number of blocks. FORMAT UNIT has none.
Sense Task::with_pointer(Sense sense) const {
  if (sense.field || row_ == nullptr || sense.code != asc::kParameterListLengthError) return sense;
  const std::uint8_t byte = extent_fields(row_->cdb_bytes()).count_byte;
  if (row_->usage[byte] != 0) sense.field = FieldPointer{FieldPointer::Where::Cdb, byte, std::nullopt};
  return sense;
}

Flow Task::busy() {
  return finish(status_reply(Status::Busy));
}

Flow Task::finish(const Reply& reply) {
  Command& command = *std::exchange(command_, nullptr);
  unit_->command_over();
  command.complete(reply);
  let_go();
  return Flow::Finished;
}

void Task::let_go() {
  const auto leave = [](RangeLock& lock, RangeLock::Section& section) {
    if (section.held()) return lock.release(section);
    if (section.waiting()) lock.cancel(section);
  };
  leave(unit_->blocks(), blocks_section_);
  leave(unit_->atomic_lock(), atomic_section_);
  if (borrowed_ != nullptr) leave(*std::exchange(borrowed_, nullptr), borrowed_section_);
  if (std::exchange(identity_asked_, false)) identity_ = {};
  unit_->give_back(*this);
}

bool Task::abort() {
  BULKHEAD_CHECK(!driving_);
  const bool waits =
      blocks_section_.waiting() || atomic_section_.waiting() || borrowed_section_.waiting() || job_awaited_;
  if (!waits && !identity_awaited_) {
    command_->aborted = true;
    return false;
  }
  if (undo != nullptr) undo(*this);
  pending_ = false;
  step_ = nullptr;
  // SBC-4: aborting the command does not stop the operation. It has all it needs.
  if (std::exchange(job_awaited_, false)) unit_->medium_job().forget_waiter();
  const Reply reply = status_reply(Status::TaskAborted);
  // Until that answer has come this is no other command's task, and the unit is not idle.
  if (identity_awaited_)
    std::exchange(command_, nullptr)->complete(reply);
  else
    (void)finish(reply);
  return true;
}

// Where a command of one block fails, it fails there. Of more blocks the first bad one is not known, nor may
// it be told: Linux takes those before it for read (sd_completed_bytes()), but the kernel hands over no data
// with CHECK CONDITION.
std::optional<std::uint64_t> Task::failed_block() const {
  const CommandKind kind = kOpcodeFacts[row_->opcode].kind;
  if (kind != CommandKind::Read && kind != CommandKind::Write) return std::nullopt;
  const Extent extent = extent_of(cdb_, row_->cdb_bytes());
  if (extent.count.value != 1) return std::nullopt;
  return extent.first.value;
}

// handler-host/api/handler.h says what each status means.
Sense Task::sense_of(IoStatus status, Access operation) const {
  const bool reading = operation == Access::Reads;
  const CommandKind kind = kOpcodeFacts[row_->opcode].kind;
  switch (status) {
    case IoStatus::ReadError:
      return {SenseKey::MediumError, asc::kUnrecoveredReadError, failed_block()};
    case IoStatus::WriteError:
      // Earlier writes are lost. A MEDIUM ERROR would be tried again (Linux: scsi_check_sense()), and the
      // second flush, which has nothing left to write, would succeed.
      if (flushing_) return {SenseKey::HardwareError, asc::kWriteError};
      return {SenseKey::MediumError, asc::kWriteError, failed_block()};
    case IoStatus::BeyondEnd:
      if (outside_) return illegal_request(asc::kLbaOutOfRange);  // as had it come after the unit shrank
      return {SenseKey::MediumError, reading ? asc::kUnrecoveredReadError : asc::kWriteError, failed_block()};
    case IoStatus::NoSpace:
      return {SenseKey::DataProtect, asc::kSpaceAllocationFailed};
    case IoStatus::WriteProtected:
      return {SenseKey::DataProtect, asc::kWriteProtected};
    case IoStatus::NotSupported:
      // Of a flush or a discard initiators understand it as "not here" and stop asking. Anything else a
      // handler must be able to do.
      if (kind == CommandKind::Flush || kind == CommandKind::Unmap)
        return illegal_request(asc::kInvalidOpcode);
      break;
    case IoStatus::Ok:
    case IoStatus::Busy:
      break;
  }
  return {SenseKey::HardwareError, asc::kInternalTargetFailure};
}

Flow Task::fail(IoStatus status) {
  if (status == IoStatus::Busy) return busy();
  return fail(status, sense_of(status, row_->access));
}

Flow Task::fail(IoStatus status, const Sense& sense) {
  count(sense);
  const Reply reply = check_condition(sense, unit_->sense_format());
  if (!outside_) report(status, reply);
  return finish(reply);
}

// DATA PROTECT and ILLEGAL REQUEST are no errors of the unit.
void Task::count(const Sense& sense) {
  ErrorCounters& errors = unit_->errors();
  if (sense.key == SenseKey::MediumError)
    ++(sense.code == asc::kWriteError ? errors.written : errors.read).uncorrected;
  else if (sense.key == SenseKey::HardwareError)
    ++errors.non_medium;
}

void Task::report(IoStatus status, const Reply& reply) {
  Words words = describe_cdb(cdb_.bytes());
  words.append(
      status == IoStatus::BeyondEnd
          ? " failed: the back end is shorter than the device; grow it back or set dev_size to its size: "
          : " failed: ");
  words.append(describe_sense(reply.sense));
  unit_->services().log(handler::LogLevel::Error, words);
}

}  // namespace bulkhead::scsi
