#include "handler-host/channel/host_channel.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <bit>
#include <cerrno>
#include <string>

#include "base/shared_memory.h"

namespace bulkhead::host {
namespace {

using channel::CompletionEntry;
using channel::CompletionsHeader;
using channel::RequestsHeader;
using channel::Slot;

std::unexpected<Error> broken(std::string what) {
  return fail(Cause::PeerBroken, EPROTO, "channel: " + std::move(what));
}

// Mapping beyond a file's end would make the first access there fatal.
Result<Mapping> map_whole(const UniqueFd& fd, std::uint64_t bytes, Mapping::Access access, const char* name) {
  struct stat status{};
  if (::fstat(fd.get(), &status) != 0) return fail_errno(errno, fmt::format("channel: size of {}", name));
  if (static_cast<std::uint64_t>(status.st_size) != bytes)
    return broken(fmt::format("{} has {} bytes, Start says {}", name, status.st_size, bytes));
  return Mapping::map(fd, bytes, access, name);
}

Result<> check_requests(const RequestsHeader& header, std::uint32_t slots, std::uint64_t data_bytes) {
  if (header.magic != channel::kRequestsMagic) return broken("the requests have no magic number");
  if (header.version != channel::kChannelVersion)
    return broken(fmt::format("version {}, this host speaks {}", header.version, channel::kChannelVersion));
  if (header.slots != slots || header.data_bytes != data_bytes ||
      header.slot_offset != sizeof(RequestsHeader) || header.submit_offset != channel::submit_offset(slots))
    return broken("the header of the requests does not agree with Start");
  return {};
}

Result<> check_completions(const CompletionsHeader& header, std::uint32_t slots) {
  if (header.magic != channel::kCompletionsMagic || header.version != channel::kChannelVersion ||
      header.slots != slots)
    return broken("the header of the completions does not agree with Start");
  return {};
}

}  // namespace

Result<HostChannel> HostChannel::map(std::vector<UniqueFd> fds, std::uint32_t slots,
                                     std::uint64_t data_bytes) {
  if (fds.size() != kDescriptors)
    return broken(
        fmt::format("{} descriptors came with Start, there should be {}", fds.size(), kDescriptors));
  if (!std::has_single_bit(slots) || slots > channel::kMaxSlots)
    return broken(fmt::format("{} slots: not a power of two up to {}", slots, channel::kMaxSlots));
  auto requests = map_whole(fds[0], channel::requests_bytes(slots), Mapping::Access::Read, "requests");
  if (!requests) return std::unexpected(std::move(requests.error()));
  auto completions =
      map_whole(fds[1], channel::completions_bytes(slots), Mapping::Access::ReadWrite, "completions");
  if (!completions) return std::unexpected(std::move(completions.error()));
  auto data = map_whole(fds[2], data_bytes, Mapping::Access::ReadWrite, "data");
  if (!data) return std::unexpected(std::move(data.error()));
  if (auto good = check_requests(object_at<RequestsHeader>(requests->bytes(), 0), slots, data_bytes); !good)
    return std::unexpected(std::move(good.error()));
  if (auto good = check_completions(object_at<CompletionsHeader>(completions->bytes(), 0), slots); !good)
    return std::unexpected(std::move(good.error()));
  // drain() must not block, whatever the flags came as.
  const int flags = ::fcntl(fds[3].get(), F_GETFL);
  if (flags < 0 || ::fcntl(fds[3].get(), F_SETFL, flags | O_NONBLOCK) != 0)
    return fail_errno(errno, "channel: make the doorbell non-blocking");
  return HostChannel(slots, std::move(*requests), std::move(*completions), std::move(*data),
                     std::move(fds[3]), std::move(fds[4]));
}

HostChannel::HostChannel(std::uint32_t slots, Mapping requests, Mapping completions, Mapping data,
                         UniqueFd doorbell, UniqueFd ring_supervisor)
    : slots_(slots),
      requests_(std::move(requests)),
      completions_(std::move(completions)),
      data_(std::move(data)),
      doorbell_(std::move(doorbell)),
      sleep_(this->completions().host_sleep),
      ring_supervisor_(this->requests().supervisor_sleep, std::move(ring_supervisor)) {}

RequestsHeader& HostChannel::requests() const {
  return object_at<RequestsHeader>(requests_.bytes(), 0);
}
CompletionsHeader& HostChannel::completions() const {
  return object_at<CompletionsHeader>(completions_.bytes(), 0);
}

bool HostChannel::has_submission() const {
  return load_acquire(requests().submit_head) != taken_;
}

Result<std::optional<Submission>> HostChannel::take() {
  const std::uint32_t waiting = load_acquire(requests().submit_head) - taken_;
  if (waiting == 0) return std::nullopt;
  if (waiting > slots_)
    return broken(fmt::format("{} submissions wait, there are {} slots", waiting, slots_));
  const std::size_t entry = taken_ & (slots_ - 1);
  const std::uint32_t index = load_relaxed(object_at<std::uint32_t>(
      requests_.bytes(), channel::submit_offset(slots_) + entry * sizeof(std::uint32_t)));
  if (index >= slots_) return broken(fmt::format("submission of slot {}, there are {}", index, slots_));
  ++taken_;
  Submission submission{
      .slot = {index},
      .request = snapshot(object_at<Slot>(requests_.bytes(), sizeof(RequestsHeader) + index * sizeof(Slot))),
      .data = {}};
  const Slot& request = submission.request;
  if (request.data_bytes > data_.size() || request.data_offset > data_.size() - request.data_bytes)
    return broken(fmt::format("slot {}: its buffer ({} bytes at {}) is not within the data", index,
                              request.data_bytes, request.data_offset));
  if (request.cdb_bytes == 0 || request.direction > channel::Direction::Both)
    return broken(fmt::format("slot {}: no CDB, or no such direction", index));
  submission.data = data_.bytes().subspan(request.data_offset, request.data_bytes);
  return submission;
}

void HostChannel::put(const CompletionEntry& entry) {
  // Each command is answered once, so the ring can't be full; see channel_abi.h.
  BULKHEAD_CHECK(put_ - published_ < slots_);
  const std::size_t at = sizeof(CompletionsHeader) + (put_++ & (slots_ - 1)) * sizeof(CompletionEntry);
  store_shared(object_at<CompletionEntry>(completions_.bytes(), at), entry);
}

void HostChannel::publish() {
  if (published_ == put_) return;
  published_ = put_;
  store_release(completions().completion_head, put_);
  ring_supervisor_.ring_if_asleep();
}

void HostChannel::set_grant(std::uint32_t word) {
  store_release(completions().grant, word);
}

std::uint32_t HostChannel::granted_writes() const {
  return load_acquire(requests().granted_writes);
}

bool HostChannel::prepare_sleep() {
  sleep_.prepare_sleep();
  if (!has_submission()) return true;
  sleep_.wake();
  return false;
}

}  // namespace bulkhead::host
