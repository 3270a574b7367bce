// Stores to memory that outlives this process: the journal, the kernel's ring, the channel.
//
// A process that is killed has done all stores up to some instruction and none after it; the memory is the
// machine's and survives. So the order of a program's stores is all that counts, and only the compiler can
// change that: each store here is a border it moves nothing across. What must happen at once is one word.
#pragma once

#include <atomic>
#include <cstdint>
#include <cstring>
#include <span>
#include <type_traits>

#include "supervisor/journal/crash_point.h"

namespace bulkhead::supervisor {

// One word, seen whole or not at all; whoever sees it (kernel, host) sees what was stored before.
template <class Word>
void persist(Word& shared, Word value) {
  static_assert(std::atomic_ref<Word>::is_always_lock_free);
  crash_point();
  std::atomic_signal_fence(std::memory_order_seq_cst);
  std::atomic_ref<Word>(shared).store(value, std::memory_order_release);
  std::atomic_signal_fence(std::memory_order_seq_cst);
}

// More than a word: may be found half done, so it means nothing until a word says so.
inline void persist_bytes(std::span<std::byte> shared, std::span<const std::byte> value) {
  crash_point();
  const std::size_t half = value.size() / 2;
  std::atomic_signal_fence(std::memory_order_seq_cst);
  std::memcpy(shared.data(), value.data(), half);
  crash_point();
  std::memcpy(shared.data() + half, value.data() + half, value.size() - half);
  std::atomic_signal_fence(std::memory_order_seq_cst);
}

template <class T>
void persist_object(T& shared, const T& value) {
  static_assert(std::is_trivially_copyable_v<T>);
  persist_bytes(std::as_writable_bytes(std::span(&shared, 1)), std::as_bytes(std::span(&value, 1)));
}

}  // namespace bulkhead::supervisor
