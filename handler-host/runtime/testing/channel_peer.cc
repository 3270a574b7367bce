#include "handler-host/runtime/testing/channel_peer.h"

#include <fcntl.h>
#include <poll.h>

#include <algorithm>
#include <array>
#include <thread>

#include "base/endian.h"
#include "base/shared_memory.h"

namespace bulkhead::host {

using channel::CompletionEntry;
using channel::CompletionsHeader;
using channel::Direction;
using channel::RequestsHeader;
using channel::Slot;

struct ChannelPeer::Files {
  UniqueFd requests, completions, data, eventfd;
  std::array<UniqueFd, 2> pipe;

  Files(std::uint32_t slots, std::uint64_t data_bytes)
      : requests(std::move(*make_sealed_memfd("test-requests", channel::requests_bytes(slots)))),
        completions(std::move(*make_sealed_memfd("test-completions", channel::completions_bytes(slots)))),
        data(std::move(*make_sealed_memfd("test-data", data_bytes))),
        eventfd(std::move(*make_eventfd())),
        pipe(std::move(*make_doorbell_pipe())) {}
};

ChannelPeer::ChannelPeer(std::uint32_t slots, std::uint64_t data_bytes)
    : ChannelPeer(slots, data_bytes, Files(slots, data_bytes)) {}

ChannelPeer::ChannelPeer(std::uint32_t slots, std::uint64_t data_bytes, Files files)
    : slots_(slots),
      requests_(*Mapping::map(files.requests, channel::requests_bytes(slots), Mapping::Access::ReadWrite,
                              "requests")),
      completions_(*Mapping::map(files.completions, channel::completions_bytes(slots),
                                 Mapping::Access::ReadWrite, "completions")),
      data_(*Mapping::map(files.data, data_bytes, Mapping::Access::ReadWrite, "data")),
      doorbell_(::fcntl(files.eventfd.get(), F_DUPFD_CLOEXEC, 0)),
      sleep_(requests().supervisor_sleep),
      ring_host_(completions().host_sleep, std::move(files.pipe[1])) {
  RequestsHeader& request_header = requests();
  request_header.magic = channel::kRequestsMagic;
  request_header.version = channel::kChannelVersion;
  request_header.slots = slots;
  request_header.slot_offset = sizeof(RequestsHeader);
  request_header.submit_offset = static_cast<std::uint32_t>(channel::submit_offset(slots));
  request_header.data_bytes = data_bytes;
  CompletionsHeader& completion_header = completions();
  completion_header.magic = channel::kCompletionsMagic;
  completion_header.version = channel::kChannelVersion;
  completion_header.slots = slots;
  host_fds_.push_back(std::move(*reopen_read_only(files.requests)));
  host_fds_.push_back(std::move(files.completions));
  host_fds_.push_back(std::move(files.data));
  host_fds_.push_back(std::move(files.pipe[0]));
  host_fds_.push_back(std::move(files.eventfd));
}

RequestsHeader& ChannelPeer::requests() const {
  return object_at<RequestsHeader>(requests_.bytes(), 0);
}
CompletionsHeader& ChannelPeer::completions() const {
  return object_at<CompletionsHeader>(completions_.bytes(), 0);
}

void ChannelPeer::submit(std::uint32_t index, const Slot& slot) {
  store_shared(object_at<Slot>(requests_.bytes(), sizeof(RequestsHeader) + index * sizeof(Slot)), slot);
  submit_entry(index);
}

void ChannelPeer::submit_entry(std::uint32_t index) {
  const std::size_t entry = submitted_++ & (slots_ - 1);
  store_relaxed(
      object_at<std::uint32_t>(requests_.bytes(), channel::submit_offset(slots_) + entry * sizeof index),
      index);
}

void ChannelPeer::publish() {
  slept_at_publish_ = load_relaxed(completions().host_sleep);
  store_release(requests().submit_head, submitted_);
  ring_host_.ring_if_asleep();
}

bool ChannelPeer::wait_until_host_sleeps(std::chrono::milliseconds limit) const {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  while (std::chrono::steady_clock::now() < deadline) {
    const std::uint32_t word = load_acquire(completions().host_sleep);
    if (word != slept_at_publish_ && word % 2 == 1) return true;
    std::this_thread::yield();
  }
  return false;
}

Slot ChannelPeer::read16(std::uint64_t lba, std::uint32_t blocks, std::uint64_t data_offset) {
  Slot slot{};
  slot.cdb_bytes = 16;
  slot.direction = Direction::In;
  slot.data_offset = data_offset;
  slot.data_bytes = std::uint64_t{blocks} * 512;
  slot.cdb[0] = 0x88;
  put_be64(std::span<std::uint8_t, 8>(slot.cdb + 2, 8), lba);
  put_be32(std::span<std::uint8_t, 4>(slot.cdb + 10, 4), blocks);
  return slot;
}

Slot ChannelPeer::write16(std::uint64_t lba, std::uint32_t blocks, std::uint64_t data_offset) {
  Slot slot = read16(lba, blocks, data_offset);
  slot.direction = Direction::Out;
  slot.cdb[0] = 0x8a;
  return slot;
}

Slot ChannelPeer::synchronize_cache() {
  Slot slot{};
  slot.cdb_bytes = 10;
  slot.cdb[0] = 0x35;
  return slot;
}

std::optional<CompletionEntry> ChannelPeer::next_completion() {
  if (load_acquire(completions().completion_head) == taken_) return std::nullopt;
  const std::size_t entry = taken_++ & (slots_ - 1);
  return snapshot(object_at<CompletionEntry>(completions_.bytes(),
                                             sizeof(CompletionsHeader) + entry * sizeof(CompletionEntry)));
}

std::optional<CompletionEntry> ChannelPeer::wait_completion(std::chrono::milliseconds limit) {
  using Clock = std::chrono::steady_clock;
  const auto deadline = Clock::now() + limit;
  while (true) {
    if (auto entry = next_completion()) return entry;
    sleep_.prepare_sleep();
    if (load_acquire(completions().completion_head) == taken_) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
      pollfd one{doorbell_.get(), POLLIN, 0};
      const int ready = left.count() <= 0 ? 0 : ::poll(&one, 1, static_cast<int>(left.count()));
      if (ready > 0) drain_doorbell(doorbell_);
      sleep_.wake();
      if (ready == 0) return next_completion();
    } else {
      sleep_.wake();
    }
  }
}

}  // namespace bulkhead::host
