#include "handler-host/handlers/file/sync_order.h"

namespace bulkhead::handler {

void SyncOrder::begin(Operation& operation) {
  operation.sync = {.number = ++begun_, .failures_before = failures_, .before = last_};
  (last_ == nullptr ? first_ : last_->sync.after) = &operation;
  last_ = &operation;
}

void SyncOrder::withdraw(Operation& operation) {
  Operation* const before = operation.sync.before;
  Operation* const after = operation.sync.after;
  (before == nullptr ? first_ : before->sync.after) = after;
  (after == nullptr ? last_ : after->sync.before) = before;
}

void SyncOrder::failed(Operation& operation) {
  ++failures_;
  withdraw(operation);
}

void SyncOrder::succeeded(Operation& operation) {
  withdraw(operation);
  operation.sync.waits_for = begun_;
  held_.push(operation);
}

Operation* SyncOrder::next() {
  const Operation* held = held_.front();
  if (held == nullptr || (first_ != nullptr && first_->sync.number <= held->sync.waits_for)) return nullptr;
  return held_.pop();
}

}  // namespace bulkhead::handler
