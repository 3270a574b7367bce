// The host's end of the channel (proto/channel_abi.h): takes submissions, puts completions.
//
// Threads: the loop thread. Allocates nothing after map(). The supervisor is trusted; what it wrote is
// checked all the same before memory is touched by it, because a mistake there should have a name.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/doorbell.h"
#include "base/error.h"
#include "base/mapping.h"
#include "base/quantity.h"
#include "base/unique_fd.h"
#include "proto/channel_abi.h"

namespace bulkhead::host {

// A command as it came, copied out of shared memory; `data` is its buffer there.
struct Submission {
  SlotIndex slot;
  channel::Slot request;
  std::span<std::byte> data;
};

class HostChannel {
 public:
  static constexpr std::size_t kDescriptors = 5;

  // `fds` as message Start has them. Errors: PeerBroken when their number, the files' sizes, magic or version
  // are not what they should be.
  [[nodiscard]] static Result<HostChannel> map(std::vector<UniqueFd> fds, std::uint32_t slots,
                                               std::uint64_t data_bytes);

  [[nodiscard]] bool has_submission() const;
  // The next command. nullopt: none now. PeerBroken: the entry or the slot makes no sense.
  [[nodiscard]] Result<std::optional<Submission>> take();

  // Puts an answer; the supervisor sees it after publish().
  void put(const channel::CompletionEntry& entry);
  // Makes the answers visible, all at once, and rings the supervisor if it sleeps.
  void publish();

  // What the supervisor may do by grant from now on; seen by it before any answer published later. 0:
  // nothing.
  void set_grant(std::uint32_t word);
  // See handler::Services.
  [[nodiscard]] std::uint32_t granted_writes() const;

  // Announces that we are about to wait for the doorbell; false: something came, look again.
  [[nodiscard]] bool prepare_sleep();
  void wake() { sleep_.wake(); }

  // Readable when the supervisor rang; drain it then.
  [[nodiscard]] const UniqueFd& doorbell() const { return doorbell_; }
  void drain() { drain_doorbell(doorbell_); }
  [[nodiscard]] std::uint32_t slots() const { return slots_; }

 private:
  HostChannel(std::uint32_t slots, Mapping requests, Mapping completions, Mapping data, UniqueFd doorbell,
              UniqueFd ring_supervisor);
  [[nodiscard]] channel::RequestsHeader& requests() const;
  [[nodiscard]] channel::CompletionsHeader& completions() const;

  std::uint32_t slots_;
  Mapping requests_;  // read-only: by descriptor, and by the mapping
  Mapping completions_;
  Mapping data_;
  UniqueFd doorbell_;
  SleepWord sleep_;
  Doorbell ring_supervisor_;
  std::uint32_t taken_ = 0;
  std::uint32_t put_ = 0;
  std::uint32_t published_ = 0;
};

}  // namespace bulkhead::host
