// One command under way, and what a command's code may do: start an operation and name the step that goes on
// from it, or answer.
//
// A command is a chain of functions. Each starts at most one operation, as its last act
//     return task.write(at, data, durability, written);
// and `written(task, status)` is called when it is over; a chain ends with good(), fail() and their like. An
// operation that is over at once makes no deeper stack: the chain is a loop (settle()).
//
// Order at the end: the command is completed first, its sections of the range lock are released after that.
// So whatever waited for it is answered later than it, and what is replayed after a crash never overtakes.
//
// Threads: the host's loop thread. Memory: reused from command to command, allocates nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "base/quantity.h"
#include "handler-host/api/handler.h"
#include "handler-host/scsi/cdb.h"
#include "handler-host/scsi/logical_unit.h"
#include "handler-host/scsi/opcode_table.h"
#include "handler-host/scsi/range_lock.h"
#include "handler-host/scsi/response.h"
#include "handler-host/scsi/sense.h"

namespace bulkhead::scsi {

class Unit;
struct MediumPlan;

class Task final : public handler::Io, public RangeLock::Waiter {
 public:
  using Step = Flow (*)(Task& task, handler::IoStatus status);

  Task() = default;
  Task(const Task&) = delete;
  Task& operator=(const Task&) = delete;

  // The command.
  [[nodiscard]] Unit& unit() { return *unit_; }
  [[nodiscard]] const Cdb& cdb() const { return cdb_; }
  [[nodiscard]] const OpcodeRow& row() const { return *row_; }
  [[nodiscard]] std::span<std::byte> data() { return command_->data; }
  [[nodiscard]] bool aborted() const { return command_->aborted; }  // nobody sees its answer
  // The same, as a parameter list.
  [[nodiscard]] std::span<const std::uint8_t> list() const {
    return {reinterpret_cast<const std::uint8_t*>(command_->data.data()), command_->data.size()};
  }

  // Operations. Offsets and lengths: multiples of the block size. One that reaches beyond the device, because
  // the device shrank meanwhile, ends with BeyondEnd and does not reach the handler.
  Flow read(ByteOffset from, std::span<std::byte> into, Step next);
  Flow write(ByteOffset to, std::span<const std::byte> from, handler::Durability durability, Step next);
  Flow write_zeroes(ByteOffset at, ByteCount length, handler::Durability durability, Step next);
  Flow discard(ByteOffset at, ByteCount length, Step next);
  Flow flush(Step next);
  // run() is set in `next`.
  Flow find_run(ByteOffset from, ByteCount length, Step next);
  [[nodiscard]] const handler::Run& run() const { return run_; }
  // space() is set in `next`.
  Flow find_space(Step next);
  [[nodiscard]] const handler::Space& space() const { return space_; }
  // Waits until no earlier command changes any of these blocks; they are this one's until it was answered.
  Flow lock(BlockRange blocks, Step next);
  // WRITE ATOMIC and readers keep out of each other's way (write_atomic.cc). Whoever reads and returns or
  // compares data without lock(): first this; waits for earlier atomic writes of these blocks, and later ones
  // wait until the command was answered. The other is the atomic write's own, after lock().
  Flow hold_off_atomic_writes(BlockRange blocks, Step next);
  Flow hold_off_reads(BlockRange blocks, Step next);
  // Waits for what exists once: Unit::scratch(), until the command was answered. Whoever needs it and a lock:
  // after the lock.
  Flow borrow(RangeLock& thing, Step next);
  // Waits for the end of a job on all of the medium; medium_job.h says what the statuses mean.
  Flow run_job(const MediumPlan& plan, std::span<const std::uint8_t> pattern, Step next);
  // identity() is set in `next`; Busy: it could not be had.
  Flow ask_identity(Step next);
  [[nodiscard]] const Identity& identity() const { return identity_; }

  // Answers.
  Flow good(std::uint64_t data_bytes = 0);
  // As much of `response` as the allocation length and the initiator's buffer take.
  Flow good(const Response& response, std::uint64_t allocation_length);
  Flow fail(const Sense& sense);
  Flow busy();
  // For a handler's status that is not Ok.
  Flow fail(handler::IoStatus status);
  // The same, where the command has an answer of its own for it.
  Flow fail(handler::IoStatus status, const Sense& sense);
  // What such a status of an operation means to an initiator; not of Ok or Busy.
  [[nodiscard]] Sense sense_of(handler::IoStatus status, Access operation) const;

  // What a command of several operations remembers between them.
  struct Progress {
    ByteOffset at{};
    ByteCount left{};
    ByteCount piece{};
    std::uint32_t index = 0;
    std::uint32_t bytes = 0;
    Step then = nullptr;
    handler::Provisioning provisioning = handler::Provisioning::Mapped;
  };
  Progress progress;
  // Why the medium can't be used so now. Asked again by whoever has waited since it began for anything but
  // the lock of its blocks.
  [[nodiscard]] std::optional<Sense> refusal() const;
  // What such a command has changed already is taken back by this, should it be aborted while it waits.
  void (*undo)(Task& task) = nullptr;

  // For Unit, RangeLock and the handler.
  void bind(Unit& unit) { unit_ = &unit; }
  void start(Command& command);
  [[nodiscard]] bool serves(const Command& command) const { return command_ == &command; }
  // Ends it with TASK ABORTED if it waits for anything but the handler. False: the handler has it, and it
  // ends by itself. Never from within a step.
  [[nodiscard]] bool abort();
  void done(handler::IoStatus status) noexcept override;
  void granted() noexcept override { done(handler::IoStatus::Ok); }
  Task* next_free = nullptr;

 private:
  Flow dispatch();
  void settle(Flow flow);
  void expect(Step next);
  Flow hold_off(RangeLock::Mode mode, BlockRange blocks, Step next);
  [[nodiscard]] bool asks_whether_safe() const;
  [[nodiscard]] std::optional<std::uint64_t> failed_block() const;
  [[nodiscard]] bool expect_within(ByteOffset at, std::uint64_t bytes, Step next);
  Flow finish(const Reply& reply);
  void let_go();
  void count(const Sense& sense);
  [[nodiscard]] Sense with_pointer(Sense sense) const;
  void report(handler::IoStatus status, const Reply& reply);

  Unit* unit_ = nullptr;
  Command* command_ = nullptr;
  const OpcodeRow* row_ = nullptr;
  Cdb cdb_;
  Identity identity_;
  handler::Run run_;
  handler::Space space_;
  bool identity_asked_ = false;
  bool job_awaited_ = false;                           // the operation under way is the unit's job
  bool identity_awaited_ = false;                      // its answer comes, whatever becomes of the command
  Step step_ = nullptr;                                // what comes after the operation under way
  handler::IoStatus outcome_ = handler::IoStatus::Ok;  // of the last one
  bool pending_ = false;                               // an operation is under way
  bool flushing_ = false;                              // the last operation was a flush
  bool outside_ = false;  // the last operation was refused, as it was outside of the unit
  bool driving_ = false;  // settle() is on the stack
  RangeLock::Section blocks_section_;
  RangeLock::Section atomic_section_;
  RangeLock::Section borrowed_section_;
  RangeLock* borrowed_ = nullptr;
};

// The last step of a command that returns no data: GOOD, or what went wrong.
inline Flow answer(Task& task, handler::IoStatus status) {
  return status == handler::IoStatus::Ok ? task.good() : task.fail(status);
}

}  // namespace bulkhead::scsi
