// A bounded queue from many threads to one, with its elements in place: nothing is allocated after
// construction, and a producer never waits: it is told that the queue is full.
//
// Each cell has a turn: equal to the position a producer may fill there, one more when the consumer may take
// it.
#pragma once

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "base/error.h"

namespace bulkhead {

// push(): any thread. pop(): one thread only.
template <class T>
class BoundedQueue {
 public:
  explicit BoundedQueue(std::size_t capacity)
      : mask_(capacity - 1), cells_(std::make_unique<Cell[]>(capacity)) {
    BULKHEAD_CHECK(std::has_single_bit(capacity));
    for (std::size_t i = 0; i < capacity; ++i) cells_[i].turn.store(i, std::memory_order_relaxed);
  }

  // Calls fill(T&) on a free element, which still holds what was there before. False: full, fill was not
  // called.
  template <class Fill>
  bool push(Fill&& fill) {
    std::uint64_t position = head_.load(std::memory_order_relaxed);
    for (;;) {
      Cell& cell = cells_[position & mask_];
      const std::uint64_t turn = cell.turn.load(std::memory_order_acquire);
      if (turn < position) return false;  // the consumer has not come round yet
      if (turn > position) {
        position = head_.load(std::memory_order_relaxed);
      } else if (head_.compare_exchange_weak(position, position + 1, std::memory_order_relaxed)) {
        fill(cell.value);
        // Sequentially consistent, like the load in empty(): "published, then looks whether the consumer
        // sleeps" against "says it sleeps, then looks whether something is there".
        cell.turn.store(position + 1, std::memory_order_seq_cst);
        return true;
      }
    }
  }

  // Calls take(T&) on the oldest element, which goes back to producers when take returns. False: empty.
  template <class Take>
  bool pop(Take&& take) {
    if (empty()) return false;
    Cell& cell = cells_[tail_ & mask_];
    take(cell.value);
    cell.turn.store(tail_ + mask_ + 1, std::memory_order_release);
    ++tail_;
    return true;
  }

  // Consumer only.
  [[nodiscard]] bool empty() const {
    return cells_[tail_ & mask_].turn.load(std::memory_order_seq_cst) != tail_ + 1;
  }
  // Elements ever begun (any thread) and ever taken (consumer only).
  [[nodiscard]] std::uint64_t pushed() const { return head_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t popped() const { return tail_; }

 private:
  struct Cell {
    std::atomic<std::uint64_t> turn;
    T value;
  };
  const std::uint64_t mask_;
  const std::unique_ptr<Cell[]> cells_;
  std::atomic<std::uint64_t> head_{0};  // producers
  std::uint64_t tail_ = 0;              // consumer
};

}  // namespace bulkhead
