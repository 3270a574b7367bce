// How operations of FileDevice end, and what becomes of writes that could not be written back. losses.h and
// sync_order.h say what is promised.
#include <cerrno>

#include "handler-host/handlers/file/attempt.h"
#include "handler-host/handlers/file/file_device.h"

namespace bulkhead::handler {
namespace {

// Each needs a failure of its own to be needed.
constexpr std::uint8_t kMostRepeats = 3;

bool is_transfer(Work work) {
  return work == Work::Read || work == Work::Write;
}

bool asked_for_flush(const Operation& operation) {
  return operation.work == Work::Flush && !operation.makes_durable;
}

}  // namespace

void FileDevice::finished(Operation& operation, std::int64_t result) noexcept {
  if (result == kNeverStarted) {
    if (operation.sync.number != 0) order_.withdraw(operation);
    finish(operation, IoStatus::Busy);
    return settle();
  }
  // What makes durable is not simply tried again: the first try may have taken the kernel's report with it.
  if (result == -EINTR && operation.sync.number == 0) return start(operation);
  if (result < 0) return failed(operation, static_cast<int>(-result));
  const auto moved = static_cast<std::uint64_t>(result);
  if (is_transfer(operation.work) && moved < operation.left) {
    const std::optional<IoStatus> answer = continue_transfer(operation, moved);
    if (!answer) return start(operation);
    if (operation.sync.number != 0) order_.withdraw(operation);
    finish(operation, *answer);
    return settle();
  }
  if (operation.work == Work::FindRun) round_to_blocks(*operation.run);
  if (operation.sync.number != 0 && operation.work != Work::Flush && operation.work != Work::Write) {
    // fallocate() has no durable form.
    operation.work = Work::Flush;
    operation.makes_durable = true;
    return start(operation);
  }
  if (operation.sync.number == 0) return finish(operation, IoStatus::Ok);
  if (direct_alignment_ != 0 && operation.work == Work::Write) {
    // What went past the page cache was told of its own errors. Zeroing parts of blocks of the file system
    // does not go past it.
    order_.withdraw(operation);
    finish(operation, IoStatus::Ok);
  } else {
    order_.succeeded(operation);
  }
  settle();
}

// As initiators are to see it; told to the log.
IoStatus FileDevice::how_it_failed(const Operation& operation, int number) {
  if (number == ENOSPC && operation.work == Work::Write && backing_.kind == BackingKind::BlockDevice) {
    // So says one that has been cut too.
    look_at_file();
    if (const std::uint64_t end = operation.offset + operation.left; end > backing_.bytes) {
      report_end(end);
      return IoStatus::BeyondEnd;
    }
  }
  report_failure(operation, number);
  const IoStatus status = status_of(operation.work, number);
  // "Try again" is for what has changed nothing.
  return status == IoStatus::Busy && operation.work == Work::Write && operation.left < operation.all
             ? IoStatus::WriteError
             : status;
}

void FileDevice::failed(Operation& operation, int number) {
  if (try_another_zeroing(operation, number)) return start(operation);
  const IoStatus status = how_it_failed(operation, number);
  if (operation.sync.number == 0) return finish(operation, status);
  // Past the page cache, a durable write that found no room, memory or permission has done nothing yet.
  // Through it, whatever it says may be about an earlier one, unless it is that the file system can't do it.
  const bool own_affair =
      operation.work != Work::Flush &&
      (direct_alignment_ != 0 ? status != IoStatus::WriteError : status == IoStatus::NotSupported);
  if (own_affair) {
    order_.withdraw(operation);
  } else {
    order_.failed(operation);
    losses_.granted(services_.granted_writes());
    losses_.happened(status);
  }
  if (asked_for_flush(operation)) losses_.told(operation.answered);
  finish(operation, status);
  settle();
}

void FileDevice::settle() {
  while (Operation* operation = order_.next()) {
    const bool doubtful = order_.doubtful(*operation);
    if (!asked_for_flush(*operation)) {
      if (doubtful)
        repeat(*operation);
      else
        finish(*operation, IoStatus::Ok);
    } else if (doubtful && losses_.at_stake(operation->answered)) {
      losses_.told(operation->answered);
      report_failure(*operation, losses_.how() == IoStatus::NoSpace ? ENOSPC : EIO);
      finish(*operation, losses_.how());
    } else {
      losses_.flush_succeeded(operation->answered);
      finish(*operation, IoStatus::Ok);
    }
  }
}

// A durable write has its data still; written again, it is durable or has a failure of its own.
void FileDevice::repeat(Operation& operation) {
  if (operation.repeats == kMostRepeats) return finish(operation, losses_.how());
  ++operation.repeats;
  operation.work = operation.asked;
  operation.makes_durable = false;
  operation.at -= operation.all - operation.left;
  operation.offset -= operation.all - operation.left;
  operation.left = operation.all;
  order_.begin(operation);
  start(operation);
}

}  // namespace bulkhead::handler
