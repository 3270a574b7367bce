// The kernel's side of a LUN, and the initiator above it: a ring in memory that it shares with a daemon in
// another process, and the two notifications between them at what they cost.
//
// Towards the daemon: a pipe in the uio device's place that never holds more than one event, since a uio
// device remembers that there were events, not how many. From the daemon: an eventfd; the real kernel walks
// the ring within the daemon's write() and wakes the initiator, here the write wakes this process. Threads:
// one.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/error.h"
#include "base/mapping.h"
#include "base/unique_fd.h"
#include "bench/path/job.h"
#include "supervisor/ring/testing/fake_kernel.h"

namespace bulkhead::bench {

class SimulatedKernel {
 public:
  [[nodiscard]] static Result<std::unique_ptr<SimulatedKernel>> create(const Job& job);
  SimulatedKernel(const SimulatedKernel&) = delete;
  SimulatedKernel& operator=(const SimulatedKernel&) = delete;

  // For the daemon, which inherits them.
  [[nodiscard]] const UniqueFd& region() const { return region_; }
  [[nodiscard]] std::size_t region_bytes() const { return memory_.size(); }
  [[nodiscard]] const UniqueFd& uio() const { return events_[0]; }
  [[nodiscard]] const UniqueFd& kick() const { return kick_; }

  // Keeps the job's depth of commands under way for that long and waits for the last one. How long each took
  // from its place in the ring to its answer, in ns. Errors: PeerBroken for an answer that is wrong;
  // TimedOut.
  [[nodiscard]] Result<std::vector<std::uint32_t>> run(std::chrono::milliseconds duration);

 private:
  using Clock = std::chrono::steady_clock;
  SimulatedKernel(const Job& job, UniqueFd region, Mapping memory, std::array<UniqueFd, 2> events,
                  UniqueFd kick);
  static supervisor::testing::FakeKernel::Options options_for(const Job& job);
  [[nodiscard]] Result<> queue_one();
  void notify() const;
  [[nodiscard]] Result<> wait_for_answers();

  const Job job_;
  UniqueFd region_;
  Mapping memory_;
  std::array<UniqueFd, 2> events_;
  UniqueFd kick_;
  supervisor::testing::FakeKernel kernel_;
  std::vector<std::uint8_t> data_;  // what initiators write
  std::minstd_rand random_{7};
  std::unordered_map<std::uint64_t, Clock::time_point> under_way_;  // by ticket
  std::vector<std::uint32_t> latencies_;
};

}  // namespace bulkhead::bench
