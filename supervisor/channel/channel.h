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

// What our end is made of: kept for a supervisor that follows us.
struct ChannelFds {
  UniqueFd requests;  // for writing
  UniqueFd completions;
  UniqueFd data;
  UniqueFd host_doorbell;  // pipe, write end
  UniqueFd doorbell;       // eventfd
};

class Channel {
 public:
  struct Ends;
  [[nodiscard]] static Result<Ends> create(const ChannelSize& size);
  // A dead supervisor's end, gone on with. Errors: BadInput when these are no channel of this size and
  // version.
  [[nodiscard]] static Result<std::unique_ptr<Channel>> adopt(const ChannelSize& size, ChannelFds fds);

  // Entries put into the submission ring so far, and how many of them the host may have seen; modulo 2^32.
  [[nodiscard]] std::uint32_t submit_index() const { return submit_head_; }
  [[nodiscard]] bool seen_by_host(std::uint32_t index) const {
    return static_cast<std::int32_t>(index - published_) < 0;
  }
  // Fills the slot and puts it into the submission ring; seen by the host after publish().
  void submit(SlotIndex index, const channel::Slot& slot);
  // Makes submissions visible and rings the host if it sleeps.
  void publish();

  // Rings the host if it sleeps, in case whoever published last did not live to do so.
  void ring_host() { ring_host_.ring_if_asleep(); }

  [[nodiscard]] bool has_completion() const;
  // What the host grants now: channel_abi.h, "I/O grants". Not older than the completion taken last.
  [[nodiscard]] std::uint32_t grant() const;
  // To be called when a write by grant begins, and when it has ended.
  void count_granted_write() const;
  // A private copy of the next completion. nullopt: none. PeerBroken: the host claims more than it can have
  // written.
  [[nodiscard]] Result<std::optional<channel::CompletionEntry>> next_completion();
  // It has been dealt with; the next one comes next.
  void completion_done();

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
  std::uint32_t submit_head_;
  std::uint32_t published_;
  std::uint32_t completions_taken_;
};

struct Channel::Ends {
  std::unique_ptr<Channel> channel;
  HostEnds host;
  ChannelFds kept;
};

}  // namespace bulkhead::supervisor
