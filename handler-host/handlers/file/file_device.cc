#include "handler-host/handlers/file/file_device.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/memory_file.h"
#include "handler-host/handlers/cfgstring/cfgstring.h"
#include "handler-host/handlers/file/direct.h"
#include "handler-host/handlers/file/memory_engine.h"
#include "handler-host/handlers/file/thread_engine.h"
#include "handler-host/handlers/file/uring_engine.h"

namespace bulkhead::handler {
namespace {

constexpr std::uint32_t kLargestToldBlock = 4096;
constexpr std::size_t kThreads = 4;  // without io_uring: enough to keep a disk's queue from running dry
constexpr std::size_t kBlockingThreads = 1;  // discards, one after the other

}  // namespace

FileDevice::FileDevice(Services& services, FileConfig config, Backing backing, ByteCount size,
                       std::uint32_t block_bytes)
    : services_(services),
      config_(std::move(config)),
      block_bytes_(block_bytes),
      backing_(std::move(backing)),
      size_(size) {}

Result<std::unique_ptr<Device>> FileDevice::open(Services& services, const OpenRequest& request) {
  auto config = parse_file_config(request.config);
  if (!config) return std::unexpected(std::move(config.error()));
  auto backing = open_backing(services, *config, request.size.value);
  if (!backing) return std::unexpected(std::move(backing.error()));
  if (auto fits = check_fits(*backing, request.size, request.block_bytes); !fits)
    return std::unexpected(std::move(fits.error()));
  if (config->lock)
    if (auto locked = lock_backing(*backing, config->read_only); !locked)
      return std::unexpected(std::move(locked.error()));
  std::unique_ptr<FileDevice> device(
      new FileDevice(services, std::move(*config), std::move(*backing), request.size, request.block_bytes));
  auto alignment = choose_direct(device->backing_, device->config_.direct, request.block_bytes);
  if (!alignment) return std::unexpected(std::move(alignment.error()));
  device->direct_alignment_ = *alignment;
  if (device->config_.discard) device->discard_ = find_discard(device->backing_, device->config_.read_only);
  if (auto started = device->start_engine(); !started) return std::unexpected(std::move(started.error()));
  return device;
}

Result<> FileDevice::start_engine() {
  const int fd = backing_.fd.get();
  Finisher& self = *this;
  blocking_ = std::make_unique<ThreadEngine>(fd, kBlockingThreads, services_, self);
  std::string_view name = "io_uring";
  if (config_.engine != EngineChoice::Threads) {
    auto ring = UringEngine::create(fd, services_, self);
    if (ring) engine_ = std::move(*ring);
    if (!ring && config_.engine == EngineChoice::Uring)
      return fail(ring.error().cause, ring.error().sys_errno,
                  fmt::format("{}: engine=uring is not possible: {}; leave it at engine=auto",
                              shown(config_.path), ring.error().what));
    if (!ring)
      services_.log(LogLevel::Warning,
                    fmt::format("no io_uring ({}): using threads, which cost more time per command; "
                                "see /proc/sys/kernel/io_uring_disabled",
                                ring.error().what));
  }
  if (!engine_) {
    engine_ = std::make_unique<ThreadEngine>(fd, kThreads, services_, self);
    name = "threads";
  }
  if (config_.engine == EngineChoice::Auto && lies_in_memory(fd)) {
    engine_ = std::make_unique<MemoryEngine>(fd, std::move(engine_), services_, self);
    name = "plain calls";
  }
  services_.log(LogLevel::Info, fmt::format("{}: {} bytes, {}, {}, {}", shown(config_.path), backing_.bytes,
                                            direct_alignment_ != 0 ? "direct I/O" : "page cache", name,
                                            config_.read_only ? "read-only" : "read-write"));
  return {};
}

Geometry FileDevice::geometry() const {
  Geometry geometry;
  geometry.size = {backing_.bytes / block_bytes_ * block_bytes_};
  // ESXi and Windows know physical blocks of 512 and 4096 bytes and nothing else.
  geometry.physical_block_bytes =
      backing_.physical_block_bytes >= kLargestToldBlock ? std::max(kLargestToldBlock, block_bytes_) : 0;
  geometry.read_only = config_.read_only;
  geometry.solid_state = backing_.solid_state;
  geometry.write_cache = config_.write_cache;
  geometry.can_discard = discard_.possible;
  geometry.discard_zeroes = discard_.possible && discard_.zeroes;
  geometry.discard_granularity_bytes = discard_.granularity_bytes;
  geometry.optimal_transfer_bytes = backing_.optimal_bytes;
  geometry.atomic_write_bytes = backing_.atomic_bytes;
  geometry.tells_space = backing_.tells_space;
  geometry.discard_alignment_bytes = discard_.alignment_bytes;
  return geometry;
}

Result<> FileDevice::resize(ByteCount size) {
  auto bytes = backing_bytes(backing_);
  if (!bytes) return std::unexpected(std::move(bytes.error()));
  const std::uint64_t before = std::exchange(backing_.bytes, *bytes);
  if (auto fits = check_fits(backing_, size, block_bytes_); !fits) {
    backing_.bytes = before;
    return fits;
  }
  size_ = size;
  return {};
}

// A tmpfs is a page cache, whatever was asked for. write_cache=off wants every write to be durable, which one
// through the page cache is not.
std::optional<IoGrant> FileDevice::io_grant() const {
  const bool in_memory = lies_in_memory(backing_.fd.get());
  const bool direct = direct_alignment_ != 0 && !in_memory;
  if (config_.read_only || (!config_.write_cache && !direct)) return std::nullopt;
  return IoGrant{.first = {0}, .direct = direct, .nothing_to_flush = in_memory};
}

Result<> FileDevice::close() {
  if (config_.read_only) return {};
  if (losses_.untold())
    return fail(Cause::Backend, EIO,
                fmt::format("{}: an earlier write back failed; what was written before may be lost",
                            shown(config_.path)));
  if (::fdatasync(backing_.fd.get()) != 0)
    return fail_errno(errno, fmt::format("{}: write everything back at close", shown(config_.path)));
  return {};
}

}  // namespace bulkhead::handler
