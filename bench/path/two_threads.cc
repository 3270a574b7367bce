// What Bulkhead is compared with: one process in the way of tcmu-runner 1.5, our own code of the same shape.
// A thread per device sleeps on the uio descriptor, reads the ring and copies each command into memory of
// its own; a queue behind a mutex and a condition variable hands it to the handler's workers; a worker reads
// into a buffer, copies to the command's segments, completes under the device's lock and kicks the kernel.
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <memory>
#include <mutex>
#include <stop_token>
#include <thread>
#include <vector>

#include "base/endian.h"
#include "base/mapping.h"
#include "bench/path/daemon.h"
#include "supervisor/journal/journal_abi.h"
#include "supervisor/ring/command_ring.h"

namespace bulkhead::bench {
namespace {

using supervisor::CommandRing;
using supervisor::JournalCursors;
using supervisor::KernelSegment;
using supervisor::RingAnswer;
using supervisor::RingCommand;

struct Work {
  CmdId id;
  std::uint64_t sequence;
  bool writes;
  off_t at;
  std::vector<KernelSegment> segments;
  std::size_t bytes;
};

class TwoThreads {
 public:
  static Result<> serve(const DaemonEnds& ends);

 private:
  TwoThreads(const DaemonEnds& ends, UniqueFd file, const Mapping& region, CommandRing ring)
      : uio_(ends.kernel.uio().get()),
        kick_(ends.kernel.kick().get()),
        file_(std::move(file)),
        region_(region.bytes()),
        ring_(ring) {}

  [[nodiscard]] Result<> poll_ring(int stop);
  [[nodiscard]] Result<bool> take_one();
  void work(const std::stop_token& stop);
  void execute(const Work& work);
  void complete(const Work& work, std::uint8_t status);

  const int uio_;
  const int kick_;
  const UniqueFd file_;
  const std::span<std::byte> region_;
  std::mutex device_;  // of the ring
  CommandRing ring_;
  std::mutex lock_;  // of the queue
  std::condition_variable_any something_;
  std::deque<std::unique_ptr<Work>> queue_;
};

Result<bool> TwoThreads::take_one() {
  auto work = std::make_unique<Work>();
  {
    std::lock_guard guard(device_);
    auto entry = ring_.peek();
    if (!entry) return std::unexpected(std::move(entry.error()));
    const auto* command = std::get_if<RingCommand>(&*entry);
    if (command == nullptr) return false;
    work->id = command->id;
    work->sequence = ring_.sequence();
    work->writes = command->cdb[0] == 0x2a;
    work->at = static_cast<off_t>(be32(std::span(command->cdb).subspan<2, 4>())) * 512;
    work->bytes = command->data_bytes;
    work->segments.resize(command->segments);
    ring_.take(*command, work->segments);
  }
  {
    std::lock_guard guard(lock_);
    queue_.push_back(std::move(work));
  }
  something_.notify_one();
  return true;
}

Result<> TwoThreads::poll_ring(int stop) {
  std::array<pollfd, 2> events{pollfd{.fd = uio_, .events = POLLIN, .revents = 0},
                               pollfd{.fd = stop, .events = POLLIN, .revents = 0}};
  while (true) {
    std::int32_t count = 0;
    [[maybe_unused]] const ssize_t cleared = ::read(uio_, &count, sizeof count);
    while (true) {
      auto taken = take_one();
      if (!taken) return std::unexpected(std::move(taken.error()));
      if (!*taken) break;
    }
    ::poll(events.data(), events.size(), -1);
    if (events[1].revents != 0) return {};
  }
}

void TwoThreads::work(const std::stop_token& stop) {
  while (true) {
    std::unique_ptr<Work> work;
    {
      std::unique_lock guard(lock_);
      if (!something_.wait(guard, stop, [this] { return !queue_.empty(); })) return;
      work = std::move(queue_.front());
      queue_.pop_front();
    }
    execute(*work);
  }
}

void TwoThreads::execute(const Work& work) {
  const std::unique_ptr<std::byte[]> buffer(new std::byte[work.bytes]);
  std::size_t done = 0;
  ssize_t moved = 0;
  if (work.writes) {
    for (const KernelSegment& segment : work.segments) {
      std::memcpy(buffer.get() + done, region_.data() + segment.offset, segment.bytes);
      done += segment.bytes;
    }
    moved = ::pwrite(file_.get(), buffer.get(), work.bytes, work.at);
  } else {
    moved = ::pread(file_.get(), buffer.get(), work.bytes, work.at);
    for (const KernelSegment& segment : work.segments) {
      std::memcpy(region_.data() + segment.offset, buffer.get() + done, segment.bytes);
      done += segment.bytes;
    }
  }
  complete(work, moved == static_cast<ssize_t>(work.bytes) ? 0x00 : 0x08);  // GOOD, BUSY
}

void TwoThreads::complete(const Work& work, std::uint8_t status) {
  {
    std::lock_guard guard(device_);
    ring_.answer(RingAnswer{.id = work.id, .sequence = work.sequence, .scsi_status = status});
    ring_.publish();
  }
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t kicked = ::write(kick_, &one, sizeof one);
}

Result<> TwoThreads::serve(const DaemonEnds& ends) {
  auto region = Mapping::map(ends.kernel.region(), ends.kernel.region_bytes(), Mapping::Access::ReadWrite,
                             "simulated region");
  if (!region) return std::unexpected(std::move(region.error()));
  JournalCursors cursors{};
  auto ring = CommandRing::attach(region->bytes(), cursors);
  if (!ring) return std::unexpected(std::move(ring.error()));
  UniqueFd file(::open(ends.job.file.c_str(), O_RDWR | O_CLOEXEC));
  if (!file) return fail_errno(errno, fmt::format("open {}", ends.job.file));
  TwoThreads daemon(ends, std::move(file), *region, *ring);
  std::vector<std::jthread> workers;
  workers.reserve(ends.job.workers);
  for (unsigned i = 0; i < ends.job.workers; ++i)
    workers.emplace_back([&daemon](const std::stop_token& stop) { daemon.work(stop); });
  ends.ready({});
  return daemon.poll_ring(ends.stop);
}

}  // namespace

Result<> serve_by_two_threads(const DaemonEnds& ends) {
  return TwoThreads::serve(ends);
}

}  // namespace bulkhead::bench
