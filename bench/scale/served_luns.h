// Many LUNs in one process that is both kernel and supervisor: real pumps, journals, channels, host sessions
// and handler-host processes, each with a file of its own.
//
// Threads: the control thread, besides the pumps'.
#pragma once

#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "bench/path/served_lun.h"
#include "bench/scale/simulated_lun.h"

namespace bulkhead::bench {

struct LunsWanted {
  unsigned count = 1;
  unsigned at_once = supervisor::StartGate::usual();  // hosts that are being started at the same time
  unsigned pumps = 0;                                 // 0: one for each processor, as in service
  std::uint32_t depth = 1;
  std::uint64_t bytes = 1 << 20;
  std::string folder;  // for their files
  std::string host_program;
  std::string library;
  bool grants = false;         // as io_grants in tcmu.conf
  std::uint32_t host_uid = 0;  // above 0: closed in as this user and those after it
};

class ServedLuns {
 public:
  [[nodiscard]] static Result<std::unique_ptr<ServedLuns>> start(const LunsWanted& wanted);
  ~ServedLuns();

  [[nodiscard]] std::size_t count() const { return kernels_.size(); }
  [[nodiscard]] SimulatedLun& lun(std::size_t index) { return *kernels_[index]; }
  [[nodiscard]] std::vector<pid_t> hosts() const;
  // The control thread does what it does in service: it waits for what hosts say.
  void wait(std::chrono::milliseconds time);
  // From the first host's start to the last one's first command possible; and the longest that any of them
  // took, from when its turn was asked for.
  [[nodiscard]] double start_seconds() const { return start_seconds_; }
  [[nodiscard]] double longest_start_seconds() const { return longest_start_seconds_; }

 private:
  ServedLuns() = default;
  [[nodiscard]] Result<> start_pumps(unsigned count);
  boost::asio::awaitable<void> start_one(std::size_t index, const LunsWanted& wanted,
                                         supervisor::StartGate& starts, std::optional<Error>& failed);

  boost::asio::io_context io_;
  std::vector<std::unique_ptr<supervisor::Pump>> pumps_;
  std::vector<std::unique_ptr<SimulatedLun>> kernels_;
  std::vector<std::unique_ptr<ServedLun>> luns_;  // before the pumps end
  std::vector<std::string> files_;
  double start_seconds_ = 0, longest_start_seconds_ = 0;
};

}  // namespace bulkhead::bench
