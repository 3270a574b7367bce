// Writes that were answered without being durable, and have been lost since: which flush says so?
//
// What an initiator may rely on: a flush that succeeds made durable all that had been answered before it was
// asked for. So every write that may be lost must be followed by a flush that fails, asked for after the
// write was answered. When the failure becomes known that may be
//   - every write that began before and that no flush is known to have made durable. Some of them may not
//     have been answered yet: the page of a write can be written back, in vain, before its answer is seen.
//   - told to somebody who is not concerned: a durable write, a flush asked for before the write was
//     answered, or nobody, because the host dies (the next host is told: Device::lost_writes()).
// Until such a flush has failed there is a debt: the next flush fails in place of the lost ones, untried. It
// settles the debt if all the writes concerned had been answered by then. New writes and a new flush may
// succeed after that; what was lost stays lost, and its initiator knows.
//
// The kernel does not tell which initiator sent a command: where several share a LUN, the first whose flush
// comes is told.
//
// Threads: one.
#pragma once

#include <cstdint>

#include "handler-host/api/handler.h"

namespace bulkhead::handler {

class Losses {
 public:
  // A write (zeroing, discard) that need not be durable. Numbered.
  [[nodiscard]] std::uint64_t write_begins() { return ++begun_; }
  void write_ended(std::uint64_t number) {
    ++ended_;
    if (untold_ && number <= newest_) --open_;
  }

  // Writes that were done without us, by an I/O grant: Services::granted_writes(), to be told before a flush
  // begins and before happened().
  void granted(std::uint32_t count);

  // How much a flush that is asked for now will make durable; to be kept for the calls below.
  [[nodiscard]] std::uint64_t answered() const { return ended_; }
  void flush_succeeded(std::uint64_t answered) {
    if (answered > flushed_) flushed_ = answered;
  }
  // Has a flush anything to lose that began when this much was answered?
  [[nodiscard]] bool at_stake(std::uint64_t answered) const { return answered > flushed_; }

  // A write back failed, and here is where we learn of it. NoSpace, or anything else as WriteError.
  void happened(IoStatus how);
  // A flush that began when this much was answered fails because of it.
  void told(std::uint64_t answered) {
    if (answered == newest_) untold_ = false;
  }
  // A flush that is asked for now must fail with how(); true.
  [[nodiscard]] bool fails_flush();
  [[nodiscard]] bool untold() const { return untold_; }
  [[nodiscard]] IoStatus how() const { return how_; }

 private:
  // The first stands for all that earlier processes of this LUN have written: the kernel may still have to
  // write it back, or have failed to.
  std::uint64_t begun_ = 1;
  std::uint64_t ended_ = 1;
  std::uint64_t flushed_ = 0;  // the first so many of those that ended are durable
  bool untold_ = false;
  IoStatus how_ = IoStatus::WriteError;
  std::uint64_t newest_ = 0;      // write that may be lost
  std::uint64_t open_ = 0;        // those up to it that have not ended
  std::uint32_t granted_ = 0;     // as told last; odd: one is under way
  bool granted_is_open_ = false;  // and is one of open_
};

}  // namespace bulkhead::handler
