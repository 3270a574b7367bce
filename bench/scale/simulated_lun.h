// A LUN whose kernel is this process: a ring that the pump reads, an event that wakes it, and an initiator
// that keeps commands under way. Where the kernel walks the ring within the daemon's write to the uio device,
// the pump's thread does it here.
//
// Threads: kick() is the pump's; the rest of one LUN belongs to one thread at a time.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <map>
#include <random>
#include <vector>

#include "base/error.h"
#include "base/unique_fd.h"
#include "supervisor/ring/testing/fake_kernel.h"

namespace bulkhead::bench {

class SimulatedLun {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr std::uint32_t kBlock = 4096;

  // For up to `depth` commands of one block at once, in a file of `bytes`.
  SimulatedLun(std::uint32_t depth, std::uint64_t bytes);

  [[nodiscard]] std::span<std::byte> region() { return kernel_.region(); }
  [[nodiscard]] const UniqueFd& uio() const { return events_[0]; }
  void kick();

  // Random reads, `depth` at a time, until `end`; each one's time from queueing to answer, in ns.
  [[nodiscard]] Result<std::vector<std::uint32_t>> read(std::uint32_t depth, Clock::time_point end);
  // One READ now; wait_for_one() waits for it.
  [[nodiscard]] Result<> begin_one();
  [[nodiscard]] Result<> wait_for_one();

 private:
  [[nodiscard]] Result<std::uint64_t> queue();

  supervisor::testing::FakeKernel kernel_;
  std::array<UniqueFd, 2> events_;
  UniqueFd kicks_;
  const std::uint64_t places_;
  std::minstd_rand random_{1};
  std::uint64_t one_ = 0;
};

}  // namespace bulkhead::bench
