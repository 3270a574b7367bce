// Waking a peer that sleeps on an empty ring, and not disturbing one that does not.
// The protocol is told in proto/channel_abi.h, "Doorbells".
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "base/error.h"
#include "base/shared_memory.h"
#include "base/unique_fd.h"

namespace bulkhead {

// The consumer's side: its own sleep word, which the producer reads.
class SleepWord {
 public:
  // Goes on from what the word says: somebody before us may have died asleep.
  explicit SleepWord(std::uint32_t& word) : word_(&word), value_(load_relaxed(word)) {}

  // Announces a sleep. The caller then looks at its ring once more and, if it found something, calls wake().
  void prepare_sleep() {
    store_relaxed(*word_, ++value_);
    std::atomic_thread_fence(std::memory_order_seq_cst);
  }
  void wake() {
    if (asleep()) store_relaxed(*word_, ++value_);
  }
  [[nodiscard]] bool asleep() const { return value_ % 2 == 1; }

 private:
  std::uint32_t* word_;
  std::uint32_t value_;  // even: awake
};

// The producer's side: the peer's sleep word, hostile, and the descriptor that wakes it.
class Doorbell {
 public:
  Doorbell(std::uint32_t& peer_sleep_word, UniqueFd fd) : word_(&peer_sleep_word), fd_(std::move(fd)) {}

  // After something was published: rings if the peer sleeps and was not rung for this sleep yet.
  // A full pipe or eventfd means that the peer has a ring coming already. Returns whether it rang.
  bool ring_if_asleep();

 private:
  std::uint32_t* word_;
  UniqueFd fd_;
  std::uint32_t rang_for_ = 0;  // 0 is even, so never a sleep
};

// A pipe as doorbell: the writer's non-blocking flag belongs to the writer alone, so a hostile reader can't
// make a ring block (an eventfd's flags are shared by all holders). [0] reads, [1] writes.
[[nodiscard]] Result<std::array<UniqueFd, 2>> make_doorbell_pipe();
[[nodiscard]] Result<UniqueFd> make_eventfd();

// Takes all rings out of a doorbell pipe or an eventfd.
void drain_doorbell(const UniqueFd& fd);

}  // namespace bulkhead
