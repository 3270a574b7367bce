#include "handler-host/handlers/file/losses.h"

namespace bulkhead::handler {

void Losses::granted(std::uint32_t count) {
  const std::uint32_t steps = count - granted_;
  if (steps == 0) return;
  const std::uint32_t under_way = granted_ % 2;
  granted_ = count;
  if (under_way != 0 && granted_is_open_) {
    granted_is_open_ = false;
    --open_;
  }
  begun_ += (steps + 1 - under_way) / 2;
  ended_ += (steps + under_way) / 2;
}

void Losses::happened(IoStatus how) {
  how_ = how == IoStatus::NoSpace ? how : IoStatus::WriteError;
  if (begun_ == flushed_) return;  // nothing that could be lost
  untold_ = true;
  newest_ = begun_;
  open_ = begun_ - ended_;
  granted_is_open_ = granted_ % 2 != 0;
}

bool Losses::fails_flush() {
  if (!untold_) return false;
  untold_ = open_ != 0;
  return true;
}

}  // namespace bulkhead::handler
