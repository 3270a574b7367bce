// Switches the write cache off on the administrator's behalf: what MODE SELECT does for an initiator.
//
// Whoever sees the cache off stops to ask for flushes. So everything that was answered before must be on
// stable storage first, and what is under way must either be answered before the flush or be durable by
// itself: the switch takes its place among the changes to all blocks, like a command.
//
// Threads: the host's loop thread. One switch at a time.
#pragma once

#include <functional>

#include "base/error.h"
#include "handler-host/api/handler.h"
#include "handler-host/scsi/range_lock.h"

namespace bulkhead::scsi {

class Unit;

class CacheSwitch final : private RangeLock::Waiter, private handler::Io {
 public:
  explicit CacheSwitch(Unit& unit) : unit_(unit) {}

  // `done` is called once, perhaps before this returns. An error: the cache is as it was. Busy: a switch is
  // under way.
  void off(std::move_only_function<void(Result<>)> done);

 private:
  void granted() noexcept override;
  void done(handler::IoStatus status) noexcept override;

  Unit& unit_;
  RangeLock::Section all_;
  std::move_only_function<void(Result<>)> done_;
  bool was_on_ = false;
};

}  // namespace bulkhead::scsi
