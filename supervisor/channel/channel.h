// The supervisor's end of one channel (proto/channel_abi.h): made for one host, thrown away with it.
//
// Threads: create() anywhere; the rest one thread at a time (the device's pump).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/doorbell.h"
#include "base/error.h"
#include "base/mapping.h"
#include "base/quantity.h"
#include "base/unique_fd.h"
#include "proto/channel_abi.h"

namespace bulkhead::supervisor {

struct ChannelSize {
  std::uint32_t slots = 128;               // a power of two, at most channel::kMaxSlots
  std::uint64_t data_bytes = 16ull << 20;  // a multiple of channel::kPage
};

// What the host gets, in the order of message Start.
struct HostEnds {
  UniqueFd requests;  // read-only
  UniqueFd completions;
  UniqueFd data;
  UniqueFd doorbell;             // pipe, read end: rings the host
  UniqueFd supervisor_doorbell;  // eventfd: rings us
};

class Channel {
 public:
  struct Ends;
  [[nodiscard]] static Result<Ends> create(const ChannelSize& size);

  // Fills the slot and puts it into the submission ring; seen by the host after publish().
  void submit(SlotIndex index, const channel::Slot& slot);
  // Makes submissions visible and rings the host if it sleeps.
  void publish();

  // A private copy of the next completion. nullopt: none. PeerBroken: the host claims more than it can have
  // written.
  [[nodiscard]] Result<std::optional<channel::CompletionEntry>> next_completion();

  // Announces that we are about to wait for the doorbell; false: something came, look again.
  [[nodiscard]] bool prepare_sleep();
  void wake() { sleep_.wake(); }

  [[nodiscard]] std::span<std::byte> data(std::uint64_t offset, std::uint64_t bytes) const;
  [[nodiscard]] const ChannelSize& size() const { return size_; }
  // Readable (edge-triggered: it is never read) when the host rang.
  [[nodiscard]] const UniqueFd& doorbell() const { return doorbell_fd_; }

 private:
  Channel(const ChannelSize& size, Mapping requests, Mapping completions, Mapping data, UniqueFd ring_host,
          UniqueFd doorbell);
  [[nodiscard]] channel::RequestsHeader& requests() const;
  [[nodiscard]] channel::CompletionsHeader& completions() const;

  ChannelSize size_;
  Mapping requests_;
  Mapping completions_;
  Mapping data_;
  UniqueFd doorbell_fd_;
  SleepWord sleep_;
  Doorbell ring_host_;
  std::uint32_t submit_head_ = 0;
  std::uint32_t published_ = 0;
  std::uint32_t completions_taken_ = 0;
};

struct Channel::Ends {
  std::unique_ptr<Channel> channel;
  HostEnds host;
};

}  // namespace bulkhead::supervisor
