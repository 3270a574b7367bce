// What a success of a flush or a durable write is worth, while others are under way.
//
// The kernel tells of a write back that failed once per open file (errseq_t, lib/errseq.c), to whichever
// fdatasync() or RWF_DSYNC write looks first. The pages are clean from then on, so whoever comes later is
// told that all is well: nothing may be tried again into success, and a success proves nothing by itself. Of
// two that overlap, the one that failed may have been told what the other should have been; and their results
// need not come to us in the order in which the kernel looked. Hence:
//
//   A success counts only if no failure became known between the start of its operation and the moment when
//   all that had been started before its end have ended as well.
//
// Whoever looked in the kernel before an operation ended was started before that, so by then its result is
// known.
//
// Threads: one. Allocates nothing: the operations are its lists.
#pragma once

#include <cstdint>

#include "handler-host/handlers/file/operation.h"

namespace bulkhead::handler {

class SyncOrder {
 public:
  void begin(Operation& operation);
  // It failed: it is answered at once, and all that are under way or held have this failure in their time.
  void failed(Operation& operation);
  // It succeeded, so far: it is held until next() gives it back.
  void succeeded(Operation& operation);
  // It ended, and means nothing to others: it did not get as far as to the file.
  void withdraw(Operation& operation);

  // One whose result can be told now; nullptr: none yet. May be called again after anything above.
  [[nodiscard]] Operation* next();
  // Was there a failure in its time?
  [[nodiscard]] bool doubtful(const Operation& operation) const {
    return operation.sync.failures_before != failures_;
  }

 private:
  std::uint64_t begun_ = 0;
  std::uint64_t failures_ = 0;
  // Under way, in the order of their start.
  Operation* first_ = nullptr;
  Operation* last_ = nullptr;
  OperationQueue held_;  // in the order of their end
};

}  // namespace bulkhead::handler
