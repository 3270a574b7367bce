#include "handler-host/handlers/null/null_device.h"

#include <fmt/format.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <list>
#include <string>
#include <thread>

namespace bulkhead::handler {
namespace {

constexpr std::uint64_t kNanosecondsPerSecond = 1'000'000'000;

std::uint64_t now_ns() {
  return static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
}

bool after(std::uint32_t count, std::optional<std::uint32_t> limit) {
  return limit && count > *limit;
}

bool every(std::uint32_t count, std::uint32_t nth) {
  return nth != 0 && count % nth == 0;
}

[[noreturn]] void crash(const char* option) {
  std::fprintf(stderr, "null: aborting, as option %s asks\n", option);
  std::abort();
}

[[noreturn]] void eat_memory() noexcept {
  std::fprintf(stderr, "null: taking all memory, as option eat_memory_after asks\n");
  constexpr std::size_t kBite = 1 << 20;
  for (std::list<std::string> eaten;;) eaten.emplace_back(kBite, 'x');
}

}  // namespace

NullDevice::NullDevice(Services& services, const NullConfig& config, const OpenRequest& request)
    : services_(services), config_(config), block_bytes_(request.block_bytes), size_(request.size) {}

NullDevice::~NullDevice() {
  if (timer_) services_.unwatch(timer_.get());
}

Result<std::unique_ptr<Device>> NullDevice::open(Services& services, const OpenRequest& request) {
  auto config = parse_null_config(request.config);
  if (!config) return std::unexpected(std::move(config.error()));
  // What the option is for: a back end that is slow to open. open() may block.
  std::this_thread::sleep_for(std::chrono::milliseconds(config->open_delay_ms));
  if (config->open_fail != 0)
    return fail_errno(static_cast<int>(config->open_fail), "null: failing, as option open_fail asks");
  std::unique_ptr<NullDevice> device(new NullDevice(services, *config, request));
  if (config->delay_us != 0)
    if (auto started = device->start_timer(); !started) return std::unexpected(std::move(started.error()));
  return device;
}

Result<> NullDevice::start_timer() {
  timer_ = UniqueFd(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
  if (!timer_) return fail_errno(errno, "null: make a timer");
  services_.watch(timer_.get(), EPOLLIN, [this] { answer_due(); });
  return {};
}

Geometry NullDevice::geometry() const {
  Geometry geometry;
  geometry.size = size_;
  geometry.read_only = config_.read_only;
  geometry.can_discard = true;
  geometry.discard_zeroes = true;
  return geometry;
}

void NullDevice::read(ByteOffset from, std::span<std::byte> into, Io& io) {
  std::memset(into.data(), 0, into.size());
  serve(Kind::Read, {from.value, into.size()}, io);
}
void NullDevice::write(ByteOffset to, std::span<const std::byte> from, Durability, Io& io) {
  serve(Kind::Write, {to.value, from.size()}, io);
}
void NullDevice::flush(Io& io) {
  serve(Kind::Flush, {}, io);
}
void NullDevice::discard(ByteOffset at, ByteCount length, Io& io) {
  serve(Kind::Write, {at.value, length.value}, io);
}
void NullDevice::write_zeroes(ByteOffset at, ByteCount length, Durability, Io& io) {
  serve(Kind::Write, {at.value, length.value}, io);
}

// It holds nothing, ever.
void NullDevice::provisioning(ByteOffset from, ByteCount length, Run& run, Io& io) {
  run = {Provisioning::Deallocated, length};
  serve(Kind::Read, {from.value, length.value}, io);
}

Result<> NullDevice::resize(ByteCount size) {
  size_ = size;
  return {};
}

void NullDevice::serve(Kind kind, Range range, Io& io) {
  ++commands_;
  if (after(commands_, config_.crash_after)) crash("crash_after");
  if (touches(range, config_.crash_lba)) crash("crash_lba");
  if (after(commands_, config_.eat_memory_after)) eat_memory();
  while (after(commands_, config_.stall_after)) ::pause();
  if (after(commands_, config_.hang_after)) return;
  const IoStatus status = judge(kind, range);
  if (!timer_) return io.done(status);
  answer_later(io, status);
}

IoStatus NullDevice::judge(Kind kind, Range range) {
  switch (kind) {
    case Kind::Read:
      return every(++reads_, config_.fail_read) || touches(range, config_.fail_lba) ? IoStatus::ReadError
                                                                                    : IoStatus::Ok;
    case Kind::Write:
      if (config_.read_only) return IoStatus::WriteProtected;
      if (after(++writes_, config_.nospace_after)) return IoStatus::NoSpace;
      return every(writes_, config_.fail_write) || touches(range, config_.fail_lba) ? IoStatus::WriteError
                                                                                    : IoStatus::Ok;
    case Kind::Flush:
      return every(++flushes_, config_.fail_flush) ? IoStatus::WriteError : IoStatus::Ok;
  }
  return IoStatus::NotSupported;
}

bool NullDevice::touches(Range range, std::optional<std::uint64_t> block) const {
  if (!block || range.bytes == 0) return false;
  const std::uint64_t first = range.offset / block_bytes_;
  return *block >= first && *block - first < range.bytes / block_bytes_;
}

void NullDevice::answer_later(Io& io, IoStatus status) {
  waiting_.push_back({now_ns() + std::uint64_t{config_.delay_us} * 1000, &io, status});
  if (waiting_.size() == 1) arm();
}

void NullDevice::arm() {
  const std::uint64_t due = waiting_.front().due_ns;
  itimerspec when{};
  when.it_value.tv_sec = static_cast<time_t>(due / kNanosecondsPerSecond);
  when.it_value.tv_nsec = static_cast<long>(due % kNanosecondsPerSecond);
  BULKHEAD_CHECK(::timerfd_settime(timer_.get(), TFD_TIMER_ABSTIME, &when, nullptr) == 0);
}

void NullDevice::answer_due() {
  std::uint64_t expirations = 0;
  if (::read(timer_.get(), &expirations, sizeof expirations) < 0) return;
  while (!waiting_.empty() && waiting_.front().due_ns <= now_ns()) {
    const Waiting first = waiting_.front();
    waiting_.pop_front();
    first.io->done(first.status);
  }
  if (!waiting_.empty()) arm();
}

}  // namespace bulkhead::handler
