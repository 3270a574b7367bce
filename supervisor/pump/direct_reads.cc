#include "supervisor/pump/direct_reads.h"

#include <sys/mman.h>
#include <sys/uio.h>

#include <cerrno>
#include <utility>

#include "base/restricted_ring.h"

namespace bulkhead::supervisor {
namespace {

constexpr std::uint8_t kOperations[] = {IORING_OP_READ};
constexpr std::size_t kMemoryBytes = DirectReads::kRoom * DirectReads::kLargestBytes;

}  // namespace

Result<std::unique_ptr<DirectReads>> DirectReads::create() {
  void* memory = ::mmap(nullptr, kMemoryBytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) return fail_errno(errno, "memory for reads past the page cache");
  // Small reads should not make huge pages of buffers that are hardly used; and a host that is forked must
  // not have them.
  ::madvise(memory, kMemoryBytes, MADV_NOHUGEPAGE);
  ::madvise(memory, kMemoryBytes, MADV_DONTFORK);
  auto ring = open_restricted_ring({.submissions = kRoom, .completions = kRoom, .operations = kOperations});
  if (!ring) {
    ::munmap(memory, kMemoryBytes);
    return std::unexpected(std::move(ring.error()));
  }
  return std::unique_ptr<DirectReads>(
      new DirectReads(*ring, {static_cast<std::byte*>(memory), kMemoryBytes}));
}

DirectReads::DirectReads(const io_uring& ring, std::span<std::byte> memory) : ring_(ring), memory_(memory) {
  free_.reserve(kRoom);
  for (std::size_t i = kRoom; i > 0; --i) free_.push_back(static_cast<Number>(i - 1));
}

// The kernel holds the pages of reads that are still under way, whoever unmaps them.
DirectReads::~DirectReads() {
  ::io_uring_queue_exit(&ring_);
  ::munmap(memory_.data(), memory_.size());
}

std::optional<DirectReads::Number> DirectReads::begin(Reader& reader, SlotIndex slot,
                                                      std::shared_ptr<const UniqueFd> file, ByteOffset from,
                                                      std::uint32_t bytes) {
  BULKHEAD_CHECK(bytes <= kLargestBytes);
  if (free_.empty() || reader.under_way_ >= kRoomOfOne) return std::nullopt;
  io_uring_sqe* entry = ::io_uring_get_sqe(&ring_);
  if (entry == nullptr) return std::nullopt;
  const Number number = free_.back();
  free_.pop_back();
  ::io_uring_prep_read(entry, file->get(), buffer(number).data(), bytes, from.value);
  // What can't be begun without waiting is answered at once, and is the host's: no kernel worker waits for
  // us.
  entry->rw_flags = RWF_NOWAIT;
  entry->user_data = number;
  entries_[number] = {
      .reader = &reader, .wanted = true, .slot = slot, .bytes = bytes, .file = std::move(file)};
  ++reader.under_way_;
  return number;
}

void DirectReads::leave(Reader& reader) {
  for (Entry& entry : entries_)
    if (entry.reader == &reader) {
      entry.reader = nullptr;
      --reader.under_way_;
    }
}

bool DirectReads::submit() {
  if (::io_uring_sq_ready(&ring_) == 0) return false;
  ::io_uring_submit(&ring_);
  return ::io_uring_sq_ready(&ring_) != 0;
}

void DirectReads::reap() {
  io_uring_cqe* completion = nullptr;
  while (::io_uring_peek_cqe(&ring_, &completion) == 0) {
    const auto number = static_cast<Number>(completion->user_data);
    const std::int64_t result = completion->res;
    ::io_uring_cqe_seen(&ring_, completion);
    Entry entry = std::exchange(entries_[number], {});
    if (entry.reader != nullptr) --entry.reader->under_way_;
    if (entry.reader != nullptr && entry.wanted)
      entry.reader->read_done(entry.slot, buffer(number).first(entry.bytes), result == entry.bytes);
    free_.push_back(number);
  }
}

}  // namespace bulkhead::supervisor
