// The commands under way: from the channel to the logical unit and back.
//
// Threads: the loop thread. Allocates nothing after construction.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "base/error.h"
#include "handler-host/channel/host_channel.h"
#include "handler-host/scsi/logical_unit.h"

namespace bulkhead::host {

class Commands {
 public:
  explicit Commands(HostChannel& channel) : channel_(channel), table_(channel.slots()) {}
  Commands(const Commands&) = delete;
  Commands& operator=(const Commands&) = delete;

  // Is the command in this slot in this generation of it one of those?
  using Listed = std::function<bool(std::uint32_t slot, std::uint32_t generation)>;

  // Takes everything that waits in the channel and starts it. Returns whether there was anything.
  // `aborted`: those that the kernel has aborted meanwhile; empty: none.
  // PeerBroken: a submission makes no sense.
  [[nodiscard]] Result<bool> start_all(scsi::LogicalUnit& unit, const Listed& aborted = {});
  [[nodiscard]] std::size_t under_way() const { return under_way_; }

  // The command that is under way in this slot in this generation of it.
  struct UnderWay {
    scsi::Command& command;
    std::uint64_t arrived_ns;  // CLOCK_MONOTONIC when the supervisor took it from the kernel
  };
  [[nodiscard]] std::optional<UnderWay> find(std::uint32_t slot, std::uint32_t generation);

 private:
  class Running final : public scsi::Command {
   public:
    void complete(const scsi::Reply& reply) noexcept override { owner->answer(*this, reply); }

    Commands* owner = nullptr;
    std::uint32_t slot = 0;
    std::uint32_t generation = 0;
    std::uint64_t arrived_ns = 0;
    bool busy = false;
    std::array<std::uint8_t, channel::kCdbBytes> cdb_copy{};
  };

  [[nodiscard]] Result<> start(const Submission& submission, scsi::LogicalUnit& unit, const Listed& aborted);
  void answer(Running& command, const scsi::Reply& reply) noexcept;

  HostChannel& channel_;
  std::vector<Running> table_;  // by slot
  std::size_t under_way_ = 0;
};

}  // namespace bulkhead::host
