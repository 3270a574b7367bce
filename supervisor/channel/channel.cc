#include "supervisor/channel/channel.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <bit>
#include <cerrno>

#include "base/shared_memory.h"
#include "supervisor/journal/persist.h"

namespace bulkhead::supervisor {

using channel::CompletionEntry;
using channel::CompletionsHeader;
using channel::RequestsHeader;
using channel::Slot;

namespace {

using Access = Mapping::Access;

Result<UniqueFd> duplicate(const UniqueFd& fd) {
  UniqueFd copy(::fcntl(fd.get(), F_DUPFD_CLOEXEC, 0));
  if (!copy) return fail_errno(errno, "duplicate a channel's descriptor");
  return copy;
}

bool possible(const ChannelSize& size) {
  return std::has_single_bit(size.slots) && size.slots <= channel::kMaxSlots && size.data_bytes != 0 &&
         size.data_bytes % channel::kPage == 0 && size.data_bytes <= (1ull << 30);
}

// A shorter file would fault when it is read beyond its end.
Result<Mapping> map_whole(const UniqueFd& fd, std::size_t bytes, std::string_view what) {
  struct stat status{};
  if (::fstat(fd.get(), &status) != 0) return fail_errno(errno, "look at a kept channel");
  const int seals = ::fcntl(fd.get(), F_GET_SEALS);
  if (static_cast<std::size_t>(status.st_size) != bytes || seals < 0 || (seals & F_SEAL_SHRINK) == 0)
    return fail(Cause::BadInput, EPROTO, "a kept channel's memory has another size");
  return Mapping::map(fd, bytes, Access::ReadWrite, what);
}

}  // namespace

Channel::Channel(const ChannelSize& size, Mapping requests, Mapping completions, Mapping data,
                 UniqueFd ring_host, UniqueFd doorbell)
    : size_(size),
      requests_(std::move(requests)),
      completions_(std::move(completions)),
      data_(std::move(data)),
      doorbell_fd_(std::move(doorbell)),
      sleep_(this->requests().supervisor_sleep),
      ring_host_(this->completions().host_sleep, std::move(ring_host)),
      submit_head_(load_relaxed(this->requests().submit_head)),
      published_(submit_head_),
      completions_taken_(load_relaxed(this->requests().completions_taken)) {}

RequestsHeader& Channel::requests() const {
  return object_at<RequestsHeader>(requests_.bytes(), 0);
}
CompletionsHeader& Channel::completions() const {
  return object_at<CompletionsHeader>(completions_.bytes(), 0);
}

Result<Channel::Ends> Channel::create(const ChannelSize& size) {
  if (!possible(size))
    return fail(Cause::BadInput, EINVAL,
                "channel size: slots must be a power of two, data whole pages up to 1 GiB");
  auto requests_fd = make_sealed_memfd("tcmu-requests", channel::requests_bytes(size.slots));
  if (!requests_fd) return std::unexpected(std::move(requests_fd.error()));
  auto completions_fd = make_sealed_memfd("tcmu-completions", channel::completions_bytes(size.slots));
  if (!completions_fd) return std::unexpected(std::move(completions_fd.error()));
  auto data_fd = make_sealed_memfd("tcmu-data", size.data_bytes);
  if (!data_fd) return std::unexpected(std::move(data_fd.error()));
  auto read_only = reopen_read_only(*requests_fd);
  if (!read_only) return std::unexpected(std::move(read_only.error()));
  auto pipe = make_doorbell_pipe();
  if (!pipe) return std::unexpected(std::move(pipe.error()));
  auto eventfd = make_eventfd();
  if (!eventfd) return std::unexpected(std::move(eventfd.error()));
  auto host_eventfd = duplicate(*eventfd);
  if (!host_eventfd) return std::unexpected(std::move(host_eventfd.error()));

  auto requests =
      Mapping::map(*requests_fd, channel::requests_bytes(size.slots), Access::ReadWrite, "requests");
  if (!requests) return std::unexpected(std::move(requests.error()));
  // Written by us once, here; afterwards only read.
  auto completions =
      Mapping::map(*completions_fd, channel::completions_bytes(size.slots), Access::ReadWrite, "completions");
  if (!completions) return std::unexpected(std::move(completions.error()));
  auto data = Mapping::map(*data_fd, size.data_bytes, Access::ReadWrite, "channel data");
  if (!data) return std::unexpected(std::move(data.error()));

  auto& request_header = object_at<RequestsHeader>(requests->bytes(), 0);
  request_header.magic = channel::kRequestsMagic;
  request_header.version = channel::kChannelVersion;
  request_header.slots = size.slots;
  request_header.slot_offset = sizeof(RequestsHeader);
  request_header.submit_offset = static_cast<std::uint32_t>(channel::submit_offset(size.slots));
  request_header.data_bytes = size.data_bytes;
  auto& completion_header = object_at<CompletionsHeader>(completions->bytes(), 0);
  completion_header.magic = channel::kCompletionsMagic;
  completion_header.version = channel::kChannelVersion;
  completion_header.slots = size.slots;

  Ends ends;
  for (auto [from, to] :
       {std::pair(&*completions_fd, &ends.kept.completions), std::pair(&*data_fd, &ends.kept.data),
        std::pair(&(*pipe)[1], &ends.kept.host_doorbell), std::pair(&*eventfd, &ends.kept.doorbell)}) {
    auto copy = duplicate(*from);
    if (!copy) return std::unexpected(std::move(copy.error()));
    *to = std::move(*copy);
  }
  ends.kept.requests = std::move(*requests_fd);
  ends.host = HostEnds{std::move(*read_only), std::move(*completions_fd), std::move(*data_fd),
                       std::move((*pipe)[0]), std::move(*host_eventfd)};
  ends.channel.reset(new Channel(size, std::move(*requests), std::move(*completions), std::move(*data),
                                 std::move((*pipe)[1]), std::move(*eventfd)));
  return ends;
}

Result<std::unique_ptr<Channel>> Channel::adopt(const ChannelSize& size, ChannelFds fds) {
  if (!possible(size)) return fail(Cause::BadInput, EINVAL, "a kept channel of an impossible size");
  auto requests = map_whole(fds.requests, channel::requests_bytes(size.slots), "requests");
  if (!requests) return std::unexpected(std::move(requests.error()));
  auto completions = map_whole(fds.completions, channel::completions_bytes(size.slots), "completions");
  if (!completions) return std::unexpected(std::move(completions.error()));
  auto data = map_whole(fds.data, size.data_bytes, "channel data");
  if (!data) return std::unexpected(std::move(data.error()));
  auto& header = object_at<RequestsHeader>(requests->bytes(), 0);
  if (header.magic != channel::kRequestsMagic || header.version != channel::kChannelVersion ||
      header.slots != size.slots || header.data_bytes != size.data_bytes)
    return fail(Cause::BadInput, EPROTONOSUPPORT, "a kept channel of another version or size");
  // Its writer has died with it; the command is still to be answered, and done again.
  if (header.granted_writes % 2 != 0) persist(header.granted_writes, header.granted_writes + 1);
  return std::unique_ptr<Channel>(new Channel(size, std::move(*requests), std::move(*completions),
                                              std::move(*data), std::move(fds.host_doorbell),
                                              std::move(fds.doorbell)));
}

void Channel::submit(SlotIndex index, const Slot& slot) {
  persist_object(object_at<Slot>(requests_.bytes(), sizeof(RequestsHeader) + index.value * sizeof(Slot)),
                 slot);
  const std::uint32_t entry = submit_head_++ & (size_.slots - 1);
  persist(
      object_at<std::uint32_t>(requests_.bytes(), channel::submit_offset(size_.slots) + entry * sizeof entry),
      index.value);
}

void Channel::publish() {
  if (published_ == submit_head_) return;
  published_ = submit_head_;
  persist(requests().submit_head, submit_head_);
  crash_point();
  ring_host_.ring_if_asleep();
}

bool Channel::has_completion() const {
  return load_acquire(completions().completion_head) != completions_taken_;
}

std::uint32_t Channel::grant() const {
  return load_acquire(completions().grant);
}

void Channel::count_granted_write() const {
  persist(requests().granted_writes, requests().granted_writes + 1);
}

Result<std::optional<CompletionEntry>> Channel::next_completion() {
  const std::uint32_t head = load_acquire(completions().completion_head);
  const std::uint32_t waiting = head - completions_taken_;
  if (waiting == 0) return std::nullopt;
  if (waiting > size_.slots)
    return fail(Cause::PeerBroken, EPROTO, "completion ring: more answers than there are slots");
  const std::uint32_t entry = completions_taken_ & (size_.slots - 1);
  return snapshot(object_at<CompletionEntry>(completions_.bytes(),
                                             sizeof(CompletionsHeader) + entry * sizeof(CompletionEntry)));
}

void Channel::completion_done() {
  persist(requests().completions_taken, ++completions_taken_);
}

bool Channel::prepare_sleep() {
  sleep_.prepare_sleep();
  if (!has_completion()) return true;
  sleep_.wake();
  return false;
}

std::span<std::byte> Channel::data(std::uint64_t offset, std::uint64_t bytes) const {
  BULKHEAD_CHECK(offset <= data_.size() && bytes <= data_.size() - offset);
  return data_.bytes().subspan(offset, bytes);
}

}  // namespace bulkhead::supervisor
