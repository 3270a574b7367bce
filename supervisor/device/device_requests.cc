// What operators and the kernel ask of a device while it lives, and what its host asks of us.
#include <fmt/format.h>

#include "base/log.h"
#include "supervisor/device/device.h"
#include "supervisor/device/on_pump.h"

namespace bulkhead::supervisor {
namespace {

using boost::asio::awaitable;
using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;

constexpr milliseconds kConfigfsDeadline{4'000};  // below the host's own for an INQUIRY
constexpr milliseconds kOpenDeadline{15'000};
// A request waits its turn for at most a start of a host, a close of one, and another start.
constexpr seconds kPatience{60};
// A host that was killed should be gone by then. Whoever asked can't wait for one that hangs in its storage.
constexpr seconds kEndDeadline{4};
constexpr std::size_t kMaxCounters = 64;

awaitable<Result<>> nothing_to_do() {
  co_return Result<>();
}

}  // namespace

awaitable<Result<>> Device::ask(bool needs_host, RequestQueue::Work work) {
  const auto self = shared_from_this();
  if (leaving_) co_return fail(Cause::NotFound, ENODEV, "the device is being removed");
  auto unless_busy = [this, needs_host, work = std::move(work)]() mutable -> awaitable<Result<>> {
    if (needs_host && (!host_ || host_end_ || host_doomed_)) co_return std::unexpected(busy_error());
    auto doing = work();
    co_return co_await std::move(doing);
  };
  wake_.notify();
  auto asking = requests_.ask(std::move(unless_busy), kPatience);
  auto done = co_await std::move(asking);
  if (done) co_return std::move(*done);
  co_return fail(Cause::TimedOut, ETIMEDOUT,
                 fmt::format("{}: still {} after {} s; nothing was changed", label_, to_string(state_),
                             kPatience.count()));
}

Error Device::busy_error() const {
  return {Cause::Busy, EBUSY, fmt::format("{} is {}: {}", label_, to_string(state_), state_reason_)};
}

awaitable<void> Device::work_off_requests() {
  while (!requests_.empty() && !leaving_) co_await requests_.do_next();
}

awaitable<Result<>> Device::restart() {
  return ask(false, [this] { return do_restart(); });
}
awaitable<Result<>> Device::hold() {
  return ask(true, [this] { return do_hold(true); });
}
awaitable<Result<>> Device::resume() {
  return ask(true, [this] { return do_hold(false); });
}
// What changes nothing needs no host.
awaitable<Result<>> Device::resize(std::uint64_t size_bytes) {
  if (kernel_ && size_bytes == kernel_->facts.size.value) return nothing_to_do();
  return ask(true, [this, size_bytes] { return do_resize(size_bytes); });
}
awaitable<Result<>> Device::set_write_cache(bool on) {
  if (kernel_ && write_cache_is(on)) return nothing_to_do();
  return ask(true, [this, on] { return do_write_cache(on); });
}
awaitable<Result<>> Device::reconfigure(std::string dev_config) {
  if (dev_config == uio_.name.dev_config) return nothing_to_do();
  // Of one that has failed too: it may be what mends it.
  return ask(false,
             [this, config = std::move(dev_config)]() mutable { return do_reconfigure(std::move(config)); });
}

// Without a host there is nothing to close: that somebody asked ends the pause before the next attempt.
awaitable<Result<>> Device::do_restart() {
  failures_ = 0;
  if (!host_ || host_end_) co_return Result<>();
  log(Level::Info, log_fields(), "restart requested");
  auto pause = [this] { path_->set_held(true); };
  co_await pump_do(std::move(pause));
  const bool in_order = co_await close_host();
  co_await host_gone(steady_clock::now() + kEndDeadline);
  if (!host_end_) {
    host_doomed_ = true;  // live() waits for its end
    ask_at_end_ = !in_order;
    co_return fail(Cause::Busy, EBUSY,
                   fmt::format("handler-host {} can't be killed; its storage does not answer", host_->pid()));
  }
  if (!in_order) ask_witness();  // else it has told what it knew
  co_await take_channel_away();
  auto go_on = [this] { path_->set_held(held_); };
  co_await pump_do(std::move(go_on));
  drop_host();
  fire(DeviceEvent::HostDied, "restart requested");
  co_return Result<>();
}

awaitable<Result<>> Device::do_hold(bool on) {
  if (held_ == on) co_return Result<>();
  held_ = on;
  auto set = [this, on] {
    path_->set_held(on);
    pump_.schedule(*this);
  };
  co_await pump_do(std::move(set));
  fire(on ? DeviceEvent::Hold : DeviceEvent::Resume, on ? "held by an operator" : "");
  log(Level::Info, log_fields(), on ? "commands are held back" : "commands flow again");
  co_return Result<>();
}

awaitable<Result<>> Device::do_resize(std::uint64_t size_bytes) {
  if (size_bytes == kernel_->facts.size.value) co_return Result<>();
  if (size_bytes == 0 || size_bytes % kernel_->facts.block_bytes != 0)
    co_return fail(Cause::BadInput, EINVAL,
                   fmt::format("new size {} is not a multiple (above 0) of the block size {}", size_bytes,
                               kernel_->facts.block_bytes));
  const seconds limit = open_limit();
  auto resized = co_await host_->resize(size_bytes, limit);
  if (resized) {
    kernel_->facts.size = ByteCount{size_bytes};
    changed();
    log(Level::Info, log_fields(), fmt::format("the LUN has {} bytes now", size_bytes));
  } else if (resized.error().cause == Cause::TimedOut) {
    // It may still do it; the next one opens with the size that the kernel goes on with.
    doom_host(fmt::format("did not take the size of {} bytes within {} s", size_bytes, limit.count()));
  }
  co_return resized;
}

awaitable<Result<>> Device::do_write_cache(bool on) {
  if (write_cache_is(on)) co_return Result<>();
  const seconds limit = open_limit();
  const bool off_before = write_cache_off_;
  co_await pause_grant(true);
  auto set = co_await host_->set_write_cache(on, limit);
  co_await pause_grant(false);
  if (set) {
    kernel_->facts.write_cache = on;
    write_cache_set_ = true;
  } else if (set.error().cause == Cause::TimedOut) {
    write_cache_off_ = off_before;
    doom_host(fmt::format("did not switch its write cache within {} s", limit.count()));
  }
  co_return set;
}

// The attribute starts as 0 and means nothing until somebody changes it; then what the LUN does is compared,
// which an initiator may have changed too.
bool Device::write_cache_is(bool on) const {
  return on == kernel_->facts.write_cache && (!write_cache_set_ || on == facts_.write_cache);
}

// A fresh host opens the new configuration; if it can't, live() starts one with the old configuration.
awaitable<Result<>> Device::do_reconfigure(std::string dev_config) {
  if (dev_config == uio_.name.dev_config) co_return Result<>();
  if (!kernel_ || (host_ && (host_end_ || host_doomed_))) co_return std::unexpected(busy_error());
  const std::string prefix = handler_.manifest.subtype() + "/";
  if (!dev_config.starts_with(prefix))
    co_return fail(Cause::BadInput, EINVAL,
                   "the new configuration is for another handler; make a new backstore for it");
  const std::string before = std::exchange(uio_.name.dev_config, std::move(dev_config));
  auto restarted = co_await do_restart();
  if (!restarted) {
    uio_.name.dev_config = before;
    co_return restarted;
  }
  const std::string state_before = unit_state_;
  auto former_images = files_.begin_anew();
  auto up = co_await start_host();
  if (up) co_return up;  // serve() or live() says so
  log(Level::Error, log_fields(), fmt::format("the new configuration is refused: {}", up.error().what));
  uio_.name.dev_config = before;
  unit_state_ = state_before;
  files_.go_back(std::move(former_images));
  doom_host("is replaced");
  co_return up;
}

awaitable<Result<UniqueFd>> Device::host_asks_file(FileAsked asked) {
  const auto self = shared_from_this();
  if (!handler_.manifest.needs().files())
    co_return fail(Cause::Denied, EACCES, "the handler's manifest does not say that it needs files");
  // A LUN that has had data must not come back empty because its file is not there.
  if (age_ == KernelDeviceAge::Used || ever_served_) asked.create_bytes = 0;
  FilePolicy policy = context_.policies.of(label_).file_policy();
  const auto asker = host_;
  auto opened = co_await files_.open(handler_config(), std::move(asked), std::move(policy), kOpenDeadline);
  if (!opened) co_return std::unexpected(std::move(opened.error()));
  // The next host may serve another file.
  if (host_ != asker) {
    [[maybe_unused]] const auto file = context_.files.closed_here(std::move(opened->file));
    [[maybe_unused]] const auto witness = context_.files.closed_here(std::move(opened->witness));
    co_return fail(Cause::PeerBroken, EPIPE, "the host that asked for a file is gone");
  }
  if (opened->witness) {
    offer_.reset();  // it was of the file before
    take_grant_anew();
    witness_ = context_.files.closed_here(std::move(opened->witness));
  }
  co_return std::move(opened->file);
}

awaitable<Result<control::Identity>> Device::host_asks_identity() {
  const auto self = shared_from_this();
  auto job = [root = context_.root, name = uio_.name] { return Backstore(root, name).identity(); };
  auto found =
      co_await context_.pool.run<BackstoreIdentity>("read the serial", kConfigfsDeadline, std::move(job));
  if (!found) co_return std::unexpected(std::move(found.error()));
  control::Identity identity;
  identity.set_id(0);
  identity.set_unit_serial(found->unit_serial);
  identity.set_vendor(found->vendor);
  identity.set_product(found->product);
  identity.set_revision(found->revision);
  if (wwn_ != found->unit_serial) {
    wwn_ = found->unit_serial;
    changed();
  }
  co_return identity;
}

void Device::host_facts(const HostFacts& facts) {
  const bool report = facts.read_only != facts_.read_only || facts.write_cache != facts_.write_cache ||
                      facts.size_bytes != facts_.size_bytes;
  // A fresh host begins with what the configuration says; somebody has switched if that changes later. What
  // an adopted one tells now may have been on its way when the last supervisor ended.
  const bool served = adopted_host_ || state_ == DeviceState::Serving || state_ == DeviceState::Held;
  if (served && facts.write_cache != facts_.write_cache) write_cache_off_ = !facts.write_cache;
  facts_ = facts;
  // From the first moment on: a host that has just opened may end soon what it was told to go on with.
  unit_state_ = facts.unit_state;
  if (report)
    changed();
  else
    save_record();
}

void Device::host_counter(std::string_view name, std::uint64_t value) {
  auto at = counters_.find(name);
  if (at != counters_.end())
    at->second = value;
  else if (counters_.size() < kMaxCounters)
    counters_.emplace(name, value);
}

}  // namespace bulkhead::supervisor
