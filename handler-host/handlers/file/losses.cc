#include "handler-host/handlers/file/losses.h"

namespace bulkhead::handler {

void Losses::happened(IoStatus how) {
  how_ = how == IoStatus::NoSpace ? how : IoStatus::WriteError;
  if (begun_ == flushed_) return;  // nothing that could be lost
  untold_ = true;
  newest_ = begun_;
  open_ = begun_ - ended_;
}

bool Losses::fails_flush() {
  if (!untold_) return false;
  untold_ = open_ != 0;
  return true;
}

}  // namespace bulkhead::handler
