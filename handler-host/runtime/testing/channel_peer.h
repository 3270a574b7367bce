// The supervisor's end of a channel, for tests: honest by default, and able to lie.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/doorbell.h"
#include "base/mapping.h"
#include "base/unique_fd.h"
#include "proto/channel_abi.h"

namespace bulkhead::host {

class ChannelPeer {
 public:
  ChannelPeer(std::uint32_t slots, std::uint64_t data_bytes);

  // The host's ends, in the order of message Start; once.
  [[nodiscard]] std::vector<UniqueFd> take_host_fds() { return std::move(host_fds_); }

  void submit(std::uint32_t index, const channel::Slot& slot);
  void submit_entry(std::uint32_t index);  // of a slot filled earlier, or one that does not exist
  void publish();
  // A READ or WRITE of `blocks` blocks of 512 bytes, whose buffer is at `data_offset`.
  static channel::Slot read16(std::uint64_t lba, std::uint32_t blocks, std::uint64_t data_offset);
  static channel::Slot write16(std::uint64_t lba, std::uint32_t blocks, std::uint64_t data_offset);
  static channel::Slot synchronize_cache();

  [[nodiscard]] std::optional<channel::CompletionEntry> next_completion();
  // Sleeps on the doorbell as the supervisor does. nullopt: none came in time.
  [[nodiscard]] std::optional<channel::CompletionEntry> wait_completion(
      std::chrono::milliseconds limit = std::chrono::seconds(20));

  // True: after the latest publish() the host has gone to sleep, so it has taken everything.
  [[nodiscard]] bool wait_until_host_sleeps(std::chrono::milliseconds limit = std::chrono::seconds(20)) const;

  [[nodiscard]] std::span<std::byte> data(std::uint64_t offset, std::uint64_t bytes) const {
    return data_.bytes().subspan(offset, bytes);
  }
  [[nodiscard]] channel::RequestsHeader& requests() const;
  [[nodiscard]] channel::CompletionsHeader& completions() const;
  [[nodiscard]] std::uint32_t slots() const { return slots_; }

 private:
  struct Files;
  ChannelPeer(std::uint32_t slots, std::uint64_t data_bytes, Files files);

  std::uint32_t slots_;
  Mapping requests_;
  Mapping completions_;
  Mapping data_;
  UniqueFd doorbell_;
  std::vector<UniqueFd> host_fds_;
  SleepWord sleep_;
  Doorbell ring_host_;
  std::uint32_t submitted_ = 0;
  std::uint32_t taken_ = 0;
  std::uint32_t slept_at_publish_ = 0;
};

}  // namespace bulkhead::host
