// One piece of work for the file, as the engines see it, and where it is kept while it runs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "handler-host/api/handler.h"

namespace bulkhead::handler {

enum class Work : std::uint8_t {
  Read,
  Write,
  Flush,    // fdatasync
  Punch,    // make a hole: reads as zeroes, space given back
  Zero,     // reads as zeroes, space kept
  Discard,  // block devices: content undefined afterwards
  FindRun,  // data or a hole, and to where; files
  Space,    // used and available; files
};

// io_uring has no such operation.
[[nodiscard]] constexpr bool needs_thread(Work work) {
  return work == Work::Discard || work == Work::FindRun || work == Work::Space;
}

struct Operation;

// SyncOrder's own.
struct SyncPlace {
  std::uint64_t number = 0;           // in the order of starts; 0: it makes nothing durable
  std::uint64_t failures_before = 0;  // known when it began
  std::uint64_t waits_for = 0;        // all up to this number must end before it can be answered
  Operation* before = nullptr;
  Operation* after = nullptr;
};

// offset, at and left tell what remains; an attempt may do less than all of it.
struct Operation {
  Work work = Work::Read;
  Durability durability = Durability::Cached;
  std::uint64_t offset = 0;
  std::byte* at = nullptr;  // written from, for Write; never written to then
  std::uint64_t left = 0;
  Io* io = nullptr;
  std::byte* bounce = nullptr;       // aligned stand-in for a buffer that O_DIRECT can't take
  std::byte* bounced_for = nullptr;  // where a read's bounce has to go
  std::uint64_t bounced_bytes = 0;
  SyncPlace sync;
  std::uint64_t answered = 0;      // what a flush has to make durable (losses.h)
  std::uint64_t write_number = 0;  // of a change that need not be durable (losses.h); 0: it is none
  bool makes_durable = false;      // a Flush that ends a durable write, not one that was asked for
  Work asked = Work::Read;         // of what may have to be repeated: as it was at first
  std::uint64_t all = 0;
  std::uint8_t repeats = 0;
  Run* run = nullptr;       // FindRun's answer: in bytes, not rounded to blocks
  Space* space = nullptr;   // Space's
  std::int64_t result = 0;  // engine's own: bytes moved, or -errno
  Operation* next = nullptr;
};

// First in, first out; owns nothing.
class OperationQueue {
 public:
  [[nodiscard]] bool empty() const { return first_ == nullptr; }
  [[nodiscard]] Operation* front() const { return first_; }
  void push(Operation& operation) {
    operation.next = nullptr;
    (first_ == nullptr ? first_ : last_->next) = &operation;
    last_ = &operation;
  }
  Operation* pop() {
    Operation* operation = first_;
    if (operation != nullptr) first_ = operation->next;
    return operation;
  }

 private:
  Operation* first_ = nullptr;
  Operation* last_ = nullptr;
};

// Reuses operations; grows by what was never needed before, so a steady load allocates nothing.
class OperationPool {
 public:
  [[nodiscard]] Operation& take() {
    if (free_.empty()) return *owned_.emplace_back(std::make_unique<Operation>());
    Operation& operation = *free_.pop();
    operation = Operation{};
    return operation;
  }
  void give_back(Operation& operation) { free_.push(operation); }

 private:
  std::vector<std::unique_ptr<Operation>> owned_;
  OperationQueue free_;
};

}  // namespace bulkhead::handler
