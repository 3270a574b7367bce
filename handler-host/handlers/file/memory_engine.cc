#include "handler-host/handlers/file/memory_engine.h"

#include <utility>

#include "handler-host/handlers/file/attempt.h"

namespace bulkhead::handler {
namespace {

// Some thirty microseconds of copying, to which a hand-over to a worker adds ten of all processors.
constexpr std::uint64_t kLargest = 128 * 1024;
// Of one kick: the supervisor should have something to copy on while we do.
constexpr std::uint64_t kMostAtOnce = 128 * 1024;

bool is_short(const Operation& operation) {
  // There is nothing to be written back.
  if (operation.work == Work::Flush) return true;
  return (operation.work == Work::Read || operation.work == Work::Write) && operation.left <= kLargest;
}

}  // namespace

MemoryEngine::MemoryEngine(int fd, std::unique_ptr<Engine> others, Services& services, Finisher& finisher)
    : fd_(fd), others_(std::move(others)), services_(services), finisher_(finisher) {}

void MemoryEngine::start(Operation& operation) {
  if (is_short(operation))
    queued_.push(operation);
  else
    others_->start(operation);
}

void MemoryEngine::kick() {
  // First, so that workers have theirs while this thread is busy.
  others_->kick();
  std::uint64_t bytes = 0;
  while (bytes < kMostAtOnce) {
    Operation* operation = queued_.pop();
    if (operation == nullptr) return;
    bytes += operation->left;
    finisher_.finished(*operation, attempt(fd_, *operation));
  }
  if (queued_.empty() || again_) return;
  again_ = true;
  services_.post([this] {
    again_ = false;
    kick();
  });
}

}  // namespace bulkhead::handler
