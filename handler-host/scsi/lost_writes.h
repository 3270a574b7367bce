// Writes that were answered and are lost: has an initiator been told by a flush that failed?
//
// The handler lets one flush fail for each loss (handler::Device::flush). But that flush may have been asked
// for by somebody who is not concerned, such as a READ with FUA or an administrator who switches the cache
// off; and the host may die before its answer is out, when the flush is replayed by a host whose handler
// opens everything anew and knows of no loss. So the unit keeps the debt, and unit_state.h takes it to the
// next host, whose first SYNCHRONIZE CACHE then fails without being tried. Between publishing the answer and
// the word that it is out a host may die too: the loss is told twice then, rather than never.
//
// Threads: the host's loop thread.
#pragma once

#include "handler-host/api/handler.h"

namespace bulkhead::scsi {

class LostWrites {
 public:
  // A flush ended so. `told`: its error is the answer of a command by which an initiator asks whether its
  // writes are safe.
  void flush_ended(handler::IoStatus status, bool told) {
    if (!loses(status)) return;
    (told ? being_told_ : owed_) = true;
  }
  // From the last host, or from a close that failed.
  void owe() { owed_ = true; }
  // An initiator asks whether its writes are safe. True: they are not, and it is told so.
  [[nodiscard]] bool take() {
    if (!owed_) return false;
    owed_ = false;
    return true;
  }
  [[nodiscard]] bool owes() const { return owed_; }
  // All answers that were given are out. True: debt() may have changed.
  bool answers_are_out() {
    const bool was = being_told_;
    being_told_ = false;
    return was;
  }
  // What the next host is to owe, beside what the handler knows.
  [[nodiscard]] bool debt() const { return owed_ || being_told_; }

 private:
  // Busy and NotSupported: nothing was tried.
  [[nodiscard]] static bool loses(handler::IoStatus status) {
    using enum handler::IoStatus;
    return status != Ok && status != NotSupported && status != Busy;
  }

  bool owed_ = false;
  bool being_told_ = false;
};

}  // namespace bulkhead::scsi
