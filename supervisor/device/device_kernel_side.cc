// The kernel's side of a device's life: its uio device, ring and configfs switches.
#include <fmt/format.h>
#include <unistd.h>

#include "base/log.h"
#include "supervisor/device/device.h"
#include "supervisor/pump/journal_stats.h"

namespace bulkhead::supervisor {
namespace {

using boost::asio::awaitable;
using std::chrono::milliseconds;

constexpr milliseconds kConfigfsDeadline{10'000};

}  // namespace

awaitable<Result<>> Device::open_kernel_side() {
  auto job = [root = context_.root, folder = context_.hosts.dev_folder, uio = uio_, age = age_] {
    return open_kernel_device(root, folder, uio, age);
  };
  auto opened =
      co_await context_.pool.run<KernelDevice>("open the uio device", kConfigfsDeadline, std::move(job));
  blocked_ = age_ == KernelDeviceAge::Used;
  if (!opened) co_return std::unexpected(std::move(opened.error()));
  const BackstoreFacts& facts = opened->facts;
  if (facts.size.value == 0 || facts.size.value % facts.block_bytes != 0)
    co_return fail(
        Cause::BadInput, EINVAL,
        fmt::format("size {} is not a multiple (above 0) of the block size {}; create the backstore with a "
                    "size that is",
                    facts.size.value, facts.block_bytes));
  const ChannelSize size = channel_size();
  auto journal = Journal::create(size.slots, static_cast<std::uint32_t>(size.data_bytes / channel::kPage));
  if (!journal) co_return std::unexpected(std::move(journal.error()));
  auto ring = CommandRing::attach(opened->region.bytes(), (*journal)->cursors());
  if (!ring) co_return std::unexpected(std::move(ring.error()));
  kernel_ = std::move(*opened);
  journal_ = std::move(*journal);
  make_path(*ring);
  save_record();
  co_await keep_kernel_side();
  Result<> added;
  auto add = [this, &added] { added = pump_.add(*this); };
  co_await pump_do(std::move(add));
  path_on_pump_ = added.has_value();
  set_wait_limits();
  co_return added;
}

void Device::make_path(const CommandRing& ring) {
  auto kick = [fd = kernel_->uio.get()] {
    const std::int32_t any = 0;
    [[maybe_unused]] const ssize_t written = ::write(fd, &any, sizeof any);
  };
  stats_ = stats_in(journal_, *stats_);
  DataPath::Events& events = *this;
  path_ = std::make_unique<DataPath>(ring, journal_, stats_, events, std::move(kick));
  // Before its first turn, in which it gives out what waits.
  path_->set_held(held_);
  path_->set_rate_limits(rate_limits());
}

// True: commands are left in the ring that nobody has answered.
awaitable<bool> Device::close_kernel_side() {
  if (!kernel_) co_return false;
  path_on_pump_ = false;
  bool unanswered = false;
  auto remove = [this, &unanswered] {
    pump_.remove(*this);
    unanswered = path_->in_flight() != 0;
  };
  if (path_) co_await pump_do(std::move(remove));
  path_.reset();
  journal_.reset();
  kernel_.reset();
  // Systemd's copy would keep the uio device open for whoever opens it next.
  co_await keeper_.drop_all();
  co_return unanswered;
}

// At a stop: commands in flight are finished, later ones get BUSY instead of waiting for a daemon that is not
// there.
awaitable<void> Device::settle_for_stop() {
  // For a successor, should we be killed before the end.
  blocked_ = true;
  save_record();
  auto job = [root = context_.root, name = uio_.name] {
    return Backstore(root, name).set_blocked(Blocked::Yes);
  };
  auto blocked = co_await context_.pool.run<void>("block the device", kConfigfsDeadline, std::move(job));
  if (!blocked) log(Level::Warning, log_fields(), blocked.error().what);
  auto release = [this] {
    path_->set_held(false);
    pump_.schedule(*this);
  };
  co_await pump_do(std::move(release));
}

awaitable<void> Device::unblock() {
  if (!blocked_) co_return;
  auto job = [root = context_.root, name = uio_.name] {
    return Backstore(root, name).set_blocked(Blocked::No);
  };
  auto unblocked = co_await context_.pool.run<void>("unblock the device", kConfigfsDeadline, std::move(job));
  if (unblocked) {
    blocked_ = false;
    if (std::exchange(unblock_failed_, false)) state_reason_.clear();
    changed();
    co_return;
  }
  state_reason_ = fmt::format("initiators go on getting BUSY: {}", unblocked.error().what);
  if (!std::exchange(unblock_failed_, true)) log(Level::Error, log_fields(), state_reason_);
  changed();
}

// Somebody else has reset the ring, or something has written over it: what it holds now is nobody's. Taken
// over anew, as after our own restart: commands that were in it get BUSY.
awaitable<void> Device::reopen_ring() {
  co_await close_kernel_side();
  age_ = KernelDeviceAge::Used;
  ring_broken_ = false;
}

}  // namespace bulkhead::supervisor
