#include "handler-host/handlers/file/uring_engine.h"

#include <sys/epoll.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <utility>

#include "base/restricted_ring.h"
#include "handler-host/handlers/file/attempt.h"

namespace bulkhead::handler {
namespace {

constexpr unsigned kSubmissions = 64;
constexpr unsigned kCompletions = 256;
constexpr std::uint32_t kRetryMilliseconds = 2;
constexpr int kOnlyFile = 0;  // index in the ring's file table

constexpr std::uint8_t kOperations[] = {IORING_OP_READ, IORING_OP_WRITE, IORING_OP_FSYNC,
                                        IORING_OP_FALLOCATE};

}  // namespace

Result<std::unique_ptr<UringEngine>> UringEngine::create(int fd, Services& services, Finisher& finisher) {
  auto ring = open_restricted_ring({.submissions = kSubmissions,
                                    .completions = kCompletions,
                                    .operations = kOperations,
                                    .only_file = fd,
                                    .one_thread = true});
  if (!ring) return std::unexpected(std::move(ring.error()));
  return std::unique_ptr<UringEngine>(new UringEngine(*ring, services, finisher));
}

UringEngine::UringEngine(const io_uring& ring, Services& services, Finisher& finisher)
    : ring_(ring), services_(services), finisher_(finisher) {
  services_.watch(ring_.ring_fd, EPOLLIN, [this] { reap(); });
}

UringEngine::~UringEngine() {
  services_.unwatch(ring_.ring_fd);
  ::io_uring_queue_exit(&ring_);
}

void UringEngine::prepare(io_uring_sqe& entry, Operation& operation) const {
  const auto length = static_cast<unsigned>(std::min<std::uint64_t>(operation.left, 1u << 30));
  switch (operation.work) {
    case Work::Read:
      ::io_uring_prep_read(&entry, kOnlyFile, operation.at, length, operation.offset);
      break;
    case Work::Write:
      ::io_uring_prep_write(&entry, kOnlyFile, operation.at, length, operation.offset);
      if (operation.durability == Durability::Durable) entry.rw_flags = RWF_DSYNC;
      break;
    case Work::Flush:
      ::io_uring_prep_fsync(&entry, kOnlyFile, IORING_FSYNC_DATASYNC);
      break;
    case Work::Punch:
    case Work::Zero:
      ::io_uring_prep_fallocate(&entry, kOnlyFile, fallocate_mode(operation.work),
                                static_cast<off_t>(operation.offset), static_cast<off_t>(operation.left));
      break;
    case Work::Discard:
    case Work::FindRun:
    case Work::Space:
      BULKHEAD_CHECK(!needs_thread(operation.work));
  }
  entry.flags |= IOSQE_FIXED_FILE;
  ::io_uring_sqe_set_data(&entry, &operation);
}

void UringEngine::kick() {
  while (!queued_.empty() && under_way_ < kCompletions) {
    io_uring_sqe* entry = ::io_uring_get_sqe(&ring_);
    if (entry == nullptr) {
      submit();
      entry = ::io_uring_get_sqe(&ring_);
      if (entry == nullptr) break;  // the kernel takes none now; submit() has arranged another try
    }
    prepare(*entry, *queued_.pop());
    ++under_way_;
  }
  submit();
  // What the page cache or a fast device could answer at once is here already.
  reap();
}

void UringEngine::submit() {
  const int result = ::io_uring_submit(&ring_);
  if (result >= 0 && ::io_uring_sq_ready(&ring_) == 0) return;
  // EAGAIN: no memory for a request; EBUSY: completions first. Either passes; the entries stay in the ring.
  if (retry_coming_) return;
  retry_coming_ = true;
  services_.after(kRetryMilliseconds, [this] {
    retry_coming_ = false;
    kick();
  });
}

void UringEngine::reap() {
  // Copied out first: finished() may start operations, which needs the ring in order.
  struct Outcome {
    Operation* operation;
    std::int64_t result;
  };
  std::array<Outcome, 64> outcomes;
  std::array<io_uring_cqe*, 64> entries;
  while (const unsigned count = ::io_uring_peek_batch_cqe(&ring_, entries.data(), entries.size())) {
    for (unsigned i = 0; i < count; ++i)
      outcomes[i] = {static_cast<Operation*>(::io_uring_cqe_get_data(entries[i])), entries[i]->res};
    ::io_uring_cq_advance(&ring_, count);
    under_way_ -= count;
    for (unsigned i = 0; i < count; ++i) finisher_.finished(*outcomes[i].operation, outcomes[i].result);
  }
  // Otherwise another completion, or the retry, comes and looks.
  if (!queued_.empty() && !retry_coming_ && under_way_ < kCompletions) services_.post([this] { kick(); });
}

}  // namespace bulkhead::handler
