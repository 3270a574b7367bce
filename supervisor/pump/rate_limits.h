// Limits of one device: commands and bytes per second, with a burst.
//
// Two token buckets, kept as the time at which each would be empty of debts (the generic cell rate
// algorithm): a command may go on while that time is not further ahead than the burst is long, and moves it
// on by what it costs. So a bucket needs no clock of its own, an idle device nothing at all, and a command
// that costs more than a whole burst goes on too, only nothing after it for as long as it was worth. Commands
// are counted when they are given on: what was let through stays let through, whatever becomes of it.
//
// What counts is reading, writing and unmapping (opcode_facts.h); TEST UNIT READY, INQUIRY, SYNCHRONIZE CACHE
// and the like pass, but not before what came earlier: order is kept. Pure: no clock. Threads: the pump's.
#pragma once

#include <cstdint>

#include "proto/opcode_facts.h"

namespace bulkhead::supervisor {

// 0: no limit.
struct RateLimits {
  std::uint64_t commands_per_second = 0;
  std::uint64_t bytes_per_second = 0;
  std::uint32_t burst_ms = 1000;  // so much of each may be saved up
  bool operator==(const RateLimits&) const = default;
};

class RateMeter {
 public:
  // The most that is told apart; also keeps every sum within 64 bits.
  static constexpr std::uint64_t kMostPerSecond = 1'000'000'000'000;
  // A pump wakes to the millisecond; with less to make up for that, it would let too little through.
  static constexpr std::uint32_t kLeastBurstMs = 10;

  // What was saved or owed counts on, as far as another limit's burst allows.
  void set(const RateLimits& limits, std::uint64_t now_ns);
  [[nodiscard]] bool limits_anything() const { return commands_.per_second != 0 || bytes_.per_second != 0; }

  // 0: the command goes on and is counted. Else: when it may be tried again; it has to wait until then.
  [[nodiscard]] std::uint64_t admit(CommandKind kind, std::uint64_t bytes, std::uint64_t now_ns);

 private:
  struct Bucket {
    std::uint64_t per_second = 0;
    std::uint64_t clear_ns = 0;  // nothing is owed from then on

    [[nodiscard]] std::uint64_t opens_ns(std::uint64_t burst_ns) const {
      return per_second == 0 || clear_ns <= burst_ns ? 0 : clear_ns - burst_ns;
    }
    void take(std::uint64_t amount, std::uint64_t now_ns);
  };
  RateLimits limits_;
  Bucket commands_, bytes_;
  std::uint64_t burst_ns_ = 0;
};

}  // namespace bulkhead::supervisor
