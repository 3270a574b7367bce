#include "test/storm/device_load.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <liburing.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstring>

namespace bulkhead::storm {
namespace {

constexpr __kernel_timespec kLook{.tv_sec = 0,
                                  .tv_nsec = 50'000'000};  // how often stop and hang are looked at

}  // namespace

Result<std::unique_ptr<DeviceLoad>> DeviceLoad::open(const std::string& path, const LoadOptions& options) {
  struct stat status{};
  if (::stat(path.c_str(), &status) != 0) return fail_errno(errno, path);
  // Of a block device O_EXCL means: not if it is mounted or somebody else's.
  const int flags = O_RDWR | O_CLOEXEC | (options.caching == Caching::Direct ? O_DIRECT : 0) |
                    (S_ISBLK(status.st_mode) ? O_EXCL : 0);
  UniqueFd fd(::open(path.c_str(), flags));
  if (!fd) return fail_errno(errno, "open " + path);
  auto bytes = static_cast<std::uint64_t>(status.st_size);
  int block_bytes = static_cast<int>(kSmallestBlock);
  if (S_ISBLK(status.st_mode) &&
      (::ioctl(fd.get(), BLKGETSIZE64, &bytes) != 0 || ::ioctl(fd.get(), BLKSSZGET, &block_bytes) != 0))
    return fail_errno(errno, "size of " + path);
  const std::uint64_t needed = (options.kib + options.offset_kib) * 1024;
  if (bytes < needed)
    return fail(Cause::BadInput, EINVAL,
                fmt::format("{} has {} bytes, the load needs {}", path, bytes, needed));
  const auto block = static_cast<std::size_t>(block_bytes);
  if (options.longest_kib * 1024 < block || options.kib < options.longest_kib || options.depth == 0)
    return fail(Cause::BadInput, EINVAL,
                "operations must fit between a block and what is used of the device");
  std::unique_ptr<DeviceLoad> load(new DeviceLoad(path, options, std::move(fd), block));
  if (Result<> prepared = load->prepare(); !prepared) return std::unexpected(std::move(prepared.error()));
  return load;
}

DeviceLoad::DeviceLoad(std::string path, const LoadOptions& options, UniqueFd fd, std::size_t block_bytes)
    : options_(options),
      fd_(std::move(fd)),
      checker_({path, options.run, options.device}, options.kib * 1024 / block_bytes, block_bytes),
      slots_(options.depth),
      random_(options.seed) {
  report_.path = std::move(path);
}

DeviceLoad::~DeviceLoad() {
  if (ring_) ::io_uring_queue_exit(ring_.get());
  // The kernel may still write to it, if the device has hung.
  if (memory_ != nullptr && in_flight_ == 0)
    ::munmap(memory_, std::size_t{options_.depth} * options_.longest_kib * 1024);
}

Result<> DeviceLoad::prepare() {
  const std::size_t each = std::size_t{options_.longest_kib} * 1024;
  void* memory =
      ::mmap(nullptr, each * options_.depth, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return fail_errno(errno, "memory for the load");
  memory_ = static_cast<std::byte*>(memory);
  for (std::size_t i = 0; i < slots_.size(); ++i) slots_[i].data = memory_ + i * each;
  auto ring = std::make_unique<io_uring>();
  const int result = ::io_uring_queue_init(options_.depth, ring.get(), 0);
  if (result < 0) return fail_errno(-result, "io_uring");
  ring_ = std::move(ring);
  return {};
}

LoadReport DeviceLoad::run() {
  began_ = quiet_since_ = Clock::now();
  while (phase_ != Phase::Done) {
    if (stopping_ && phase_ == Phase::Random) phase_ = Phase::ReadBack;
    submit_all();
    if (in_flight_ == 0 && phase_ != Phase::Random)
      next_phase();
    else
      wait_for_one();
    if (!report_.violation.empty() || report_.hung) break;
  }
  // What a violation leaves in flight still writes to our memory.
  while (in_flight_ > 0 && !report_.hung) wait_for_one();
  report_.torn_while_written = checker_.torn_while_written();
  over_ = true;
  return report_;
}

// Only when nothing is in flight: the phases do not mix.
void DeviceLoad::next_phase() {
  cursor_ = 0;
  if (phase_ == Phase::Fill) {
    phase_ = Phase::Random;
    filled_ = true;
    began_ = Clock::now();
  } else {
    report_.read_back = true;
    phase_ = Phase::Done;
  }
}

bool DeviceLoad::may_submit() {
  switch (phase_) {
    case Phase::Fill:
      return cursor_ < checker_.blocks();
    case Phase::ReadBack:
      // After the last random operation: the first block's reading back must not overlap it.
      return cursor_ < checker_.blocks() && (cursor_ > 0 || in_flight_ == 0);
    case Phase::Random: {
      const double seconds = std::chrono::duration<double>(Clock::now() - began_).count();
      return options_.rate == 0 || static_cast<double>(paced_) <= seconds * options_.rate;
    }
    case Phase::Done:
      break;
  }
  return false;
}

void DeviceLoad::submit_all() {
  for (Slot& slot : slots_) {
    if (slot.kind != Kind::Idle) continue;
    if (!may_submit()) break;
    if (phase_ == Phase::Random) {
      ++paced_;
      begin(slot, random_() % 100 < options_.read_percent ? Kind::Read : Kind::Write, random_extent());
    } else {
      const std::uint64_t longest = options_.longest_kib * 1024 / checker_.block_bytes();
      Extent extent{cursor_, std::min(longest, checker_.blocks() - cursor_)};
      cursor_ += extent.blocks;
      begin(slot, phase_ == Phase::Fill ? Kind::Write : Kind::Read, extent);
    }
  }
  ::io_uring_submit(ring_.get());
}

// Mostly 4 KiB, at any block; one in eight of any length.
Extent DeviceLoad::random_extent() {
  const std::uint64_t longest = options_.longest_kib * 1024 / checker_.block_bytes();
  std::uint64_t blocks = std::clamp<std::uint64_t>(4096 / checker_.block_bytes(), 1, longest);
  if (random_() % 8 == 0) blocks = 1 + random_() % longest;
  return {random_() % (checker_.blocks() - blocks + 1), blocks};
}

void DeviceLoad::begin(Slot& slot, Kind kind, Extent extent) {
  const auto writer = static_cast<std::uint16_t>(&slot - slots_.data());
  const std::size_t bytes = extent.blocks * checker_.block_bytes();
  const std::uint64_t at = options_.offset_kib * 1024 + extent.first * checker_.block_bytes();
  io_uring_sqe* sqe = ::io_uring_get_sqe(ring_.get());
  BULKHEAD_CHECK(sqe != nullptr);  // as many as slots
  slot.kind = kind;
  slot.extent = extent;
  if (kind == Kind::Read) {
    slot.read = checker_.begin_read(extent, writer);
    ::io_uring_prep_read(sqe, fd_.get(), slot.data, static_cast<unsigned>(bytes), at);
  } else {
    slot.write = checker_.begin_write(extent, writer, {slot.data, bytes});
    ::io_uring_prep_write(sqe, fd_.get(), slot.data, static_cast<unsigned>(bytes), at);
  }
  ::io_uring_sqe_set_data(sqe, &slot);
  if (in_flight_++ == 0) quiet_since_ = Clock::now();
}

void DeviceLoad::wait_for_one() {
  io_uring_cqe* cqe = nullptr;
  __kernel_timespec look = kLook;
  if (options_.rate > 0 && in_flight_ < options_.depth) look.tv_nsec = 5'000'000;
  const int result = ::io_uring_wait_cqe_timeout(ring_.get(), &cqe, &look);
  const Clock::time_point now = Clock::now();
  if (in_flight_ > 0) measure_gap(now);
  if (result < 0 || cqe == nullptr) {
    report_.hung = in_flight_ > 0 && now - quiet_since_ > options_.hang;
    return;
  }
  do {
    auto* slot = static_cast<Slot*>(::io_uring_cqe_get_data(cqe));
    const int outcome = cqe->res;
    ::io_uring_cqe_seen(ring_.get(), cqe);
    // liburing's own time-out of older kernels has no slot.
    if (slot == nullptr) continue;
    finish(*slot, outcome);
    quiet_since_ = now;
  } while (::io_uring_peek_cqe(ring_.get(), &cqe) == 0);
}

void DeviceLoad::measure_gap(Clock::time_point now) {
  const auto gap = std::chrono::duration_cast<std::chrono::microseconds>(now - quiet_since_);
  if (gap <= report_.longest_stall) return;
  report_.longest_stall = gap;
  report_.longest_stall_at = wall_microseconds() - gap.count();
}

void DeviceLoad::finish(Slot& slot, int result) {
  const std::size_t bytes = slot.extent.blocks * checker_.block_bytes();
  const bool good = result >= 0 && static_cast<std::size_t>(result) == bytes;
  const bool reading = slot.kind == Kind::Read;
  if (!good) {
    if (report_.errors++ == 0)
      report_.first_error = fmt::format(
          "{}: {} of {} bytes at byte {}: {}", clock_text(wall_microseconds()), reading ? "read" : "write",
          bytes, options_.offset_kib * 1024 + slot.extent.first * checker_.block_bytes(),
          result < 0 ? errno_text(-result) : fmt::format("only {} bytes", result));
  } else {
    ++(reading ? report_.reads : report_.writes);
  }
  if (!reading) {
    checker_.end_write(slot.write,
                       good ? DeviceChecker::Outcome::Acknowledged : DeviceChecker::Outcome::Failed);
  } else if (!good) {
    checker_.fail_read(slot.read);
  } else {
    report_.blocks_read += slot.extent.blocks;
    std::optional<std::string> wrong = checker_.end_read(slot.read, {slot.data, bytes});
    if (wrong && report_.violation.empty()) report_.violation = std::move(*wrong);
  }
  slot.kind = Kind::Idle;
  --in_flight_;
}

}  // namespace bulkhead::storm
