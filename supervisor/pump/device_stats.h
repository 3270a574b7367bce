// What a pump counts about its device, and what the control thread shows.
//
// Threads: written by the device's pump alone, read by any thread: relaxed atomics, each exact by itself.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "proto/opcode_facts.h"

namespace bulkhead::supervisor {

// A counter with one writer: no locked instruction needed.
class Counter {
 public:
  void add(std::uint64_t amount) {
    value_.store(value_.load(std::memory_order_relaxed) + amount, std::memory_order_relaxed);
  }
  void set(std::uint64_t value) { value_.store(value, std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t get() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

// Latencies in microseconds, four buckets an octave: a value is known to within a quarter of itself, up to
// two minutes; the last bucket has all that is longer.
class LatencyHistogram {
 public:
  static constexpr std::size_t kBuckets = 4 * 26;

  void add(std::uint64_t microseconds) { buckets_[bucket_of(microseconds)].add(1); }

  // Upper bound of the bucket that holds the quantile `per_mille`; 0 if nothing was counted.
  [[nodiscard]] std::uint64_t quantile(std::uint64_t per_mille) const {
    std::uint64_t total = 0;
    for (const Counter& bucket : buckets_) total += bucket.get();
    if (total == 0) return 0;
    const std::uint64_t rank = (total * per_mille + 999) / 1000;
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < kBuckets; ++i) {
      seen += buckets_[i].get();
      if (seen >= rank) return upper_bound(i);
    }
    return upper_bound(kBuckets - 1);
  }

  // What was counted: upper bound of a bucket, and how many it has.
  [[nodiscard]] std::vector<std::pair<std::uint64_t, std::uint64_t>> counts() const {
    std::vector<std::pair<std::uint64_t, std::uint64_t>> counts;
    for (std::size_t i = 0; i < kBuckets; ++i)
      if (const std::uint64_t count = buckets_[i].get(); count != 0)
        counts.emplace_back(upper_bound(i), count);
    return counts;
  }

  static constexpr std::size_t bucket_of(std::uint64_t value) {
    if (value < 4) return static_cast<std::size_t>(value);
    const auto octave = static_cast<std::size_t>(std::bit_width(value)) - 1;  // >= 2
    const auto quarter = static_cast<std::size_t>(value >> (octave - 2)) & 3;
    const std::size_t bucket = (octave - 1) * 4 + quarter;
    return bucket < kBuckets ? bucket : kBuckets - 1;
  }
  static constexpr std::uint64_t upper_bound(std::size_t bucket) {
    if (bucket < 4) return bucket;
    const std::size_t octave = bucket / 4 + 1;
    return ((std::uint64_t{4} + bucket % 4 + 1) << (octave - 2)) - 1;
  }

 private:
  std::array<Counter, kBuckets> buckets_;
};
static_assert(LatencyHistogram::bucket_of(LatencyHistogram::upper_bound(17)) == 17);
static_assert(LatencyHistogram::bucket_of(LatencyHistogram::upper_bound(17) + 1) == 18);

// Classes of answers other than GOOD, by status and sense key.
enum class AnswerError : std::uint8_t {
  IllegalRequest,
  NotReady,
  MediumError,
  HardwareError,
  UnitAttention,
  DataProtect,
  AbortedCommand,
  Miscompare,
  OtherSense,
  Busy,
  OtherStatus,
};
inline constexpr std::size_t kAnswerErrors = 11;

struct DeviceStats {
  struct Kind {
    Counter commands, bytes, errors;
  };
  std::array<Kind, kCommandKinds> kinds;
  std::array<Counter, kAnswerErrors> errors;
  Counter in_flight;
  Counter oldest_arrival_ns;  // CLOCK_MONOTONIC; 0: none in flight
  Counter replayed;
  Counter expired;   // had waited for longer than the kernel does: answered, not run
  Counter poisoned;  // ended several hosts: answered with HARDWARE ERROR
  Counter longest_stall_us;
  Counter throttled;         // commands that waited for the device's limits
  Counter throttled_us;      // how long, all together
  Counter aborts;            // task management of the kernel that aborts commands alone
  Counter resets;            // that resets the logical unit
  Counter aborted_commands;  // under way when either named them
  Counter latency_max_us;
  Counter granted_reads, granted_writes, granted_flushes;  // done by grant, without the host
  Counter grants_missed;                                   // tried in vain: the host did it
  LatencyHistogram latency;
  // Its parts, of commands that a host answered or that were done by grant.
  LatencyHistogram wait_latency;   // until one of these began
  LatencyHistogram host_latency;   // from giving it to the host to its answer
  LatencyHistogram grant_latency;  // of doing it by grant
};

}  // namespace bulkhead::supervisor
