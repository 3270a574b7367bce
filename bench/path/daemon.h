// A process that serves the simulated kernel's ring: Bulkhead's, or the one it is compared with.
//
// Threads: the benchmark's only one; made before any other exists, since it forks.
#pragma once

#include <sys/types.h>

#include <functional>
#include <memory>
#include <vector>

#include "base/error.h"
#include "base/unique_fd.h"
#include "bench/path/job.h"
#include "bench/path/simulated_kernel.h"

namespace bulkhead::bench {

// What the serving process gets.
struct DaemonEnds {
  const Job& job;
  const SimulatedKernel& kernel;
  int stop;  // readable (its end) when the benchmark is over
  // To be called once, when commands are served. `hosts`: processes that serve with it, the one with the load
  // first.
  std::function<void(const std::vector<pid_t>& hosts)> ready;
};
using Serve = Result<> (*)(const DaemonEnds& ends);

[[nodiscard]] Result<> serve_by_bulkhead(const DaemonEnds& ends);
// In the way of tcmu-runner: a thread reads the ring and hands each command to workers.
[[nodiscard]] Result<> serve_by_two_threads(const DaemonEnds& ends);

class Daemon {
 public:
  // Returns when it serves. Errors: what it died of is on standard error.
  [[nodiscard]] static Result<std::unique_ptr<Daemon>> start(const Job& job, Serve serve);
  // Tells it to stop, and waits.
  ~Daemon();
  Daemon(const Daemon&) = delete;
  Daemon& operator=(const Daemon&) = delete;

  [[nodiscard]] SimulatedKernel& kernel() { return *kernel_; }
  [[nodiscard]] pid_t pid() const { return pid_; }
  [[nodiscard]] const std::vector<pid_t>& hosts() const { return hosts_; }

 private:
  Daemon(pid_t pid, UniqueFd stop, std::unique_ptr<SimulatedKernel> kernel)
      : pid_(pid), stop_(std::move(stop)), kernel_(std::move(kernel)) {}

  pid_t pid_;
  UniqueFd stop_;
  std::unique_ptr<SimulatedKernel> kernel_;
  std::vector<pid_t> hosts_;
};

}  // namespace bulkhead::bench
