// Access to memory that another, possibly hostile process writes at the same time.
//
// The rule: nothing refers into such memory; a value is copied out once, then the copy is judged and used.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <type_traits>

namespace bulkhead {

// One copy of *shared, word by word through relaxed atomics, so that neither the compiler nor the peer can
// make us read a field twice. Fields may be torn against each other: validate the copy.
template <class T>
[[nodiscard]] inline T snapshot(T& shared) {
  static_assert(std::is_trivially_copyable_v<T> && sizeof(T) % 8 == 0 && alignof(T) >= 8);
  std::uint64_t words[sizeof(T) / 8];
  auto* from = reinterpret_cast<std::uint64_t*>(&shared);
  for (std::size_t i = 0; i < sizeof(T) / 8; ++i)
    words[i] = std::atomic_ref<std::uint64_t>(from[i]).load(std::memory_order_relaxed);
  T copy;
  std::memcpy(&copy, words, sizeof copy);
  return copy;
}

// The counterpart: publishes a value to a peer that uses snapshot().
template <class T>
inline void store_shared(T& shared, const T& value) {
  static_assert(std::is_trivially_copyable_v<T> && sizeof(T) % 8 == 0 && alignof(T) >= 8);
  std::uint64_t words[sizeof(T) / 8];
  std::memcpy(words, &value, sizeof value);
  auto* to = reinterpret_cast<std::uint64_t*>(&shared);
  for (std::size_t i = 0; i < sizeof(T) / 8; ++i)
    std::atomic_ref<std::uint64_t>(to[i]).store(words[i], std::memory_order_relaxed);
}

// A 32-bit index or flag shared with a peer.
[[nodiscard]] inline std::uint32_t load_acquire(std::uint32_t& shared) {
  return std::atomic_ref<std::uint32_t>(shared).load(std::memory_order_acquire);
}
[[nodiscard]] inline std::uint32_t load_relaxed(std::uint32_t& shared) {
  return std::atomic_ref<std::uint32_t>(shared).load(std::memory_order_relaxed);
}
inline void store_release(std::uint32_t& shared, std::uint32_t value) {
  std::atomic_ref<std::uint32_t>(shared).store(value, std::memory_order_release);
}
inline void store_relaxed(std::uint32_t& shared, std::uint32_t value) {
  std::atomic_ref<std::uint32_t>(shared).store(value, std::memory_order_relaxed);
}

// The object of type T at `offset`; the caller has checked that it lies inside and is aligned.
template <class T>
[[nodiscard]] inline T& object_at(std::span<std::byte> memory, std::size_t offset) {
  return *reinterpret_cast<T*>(memory.data() + offset);
}

}  // namespace bulkhead
