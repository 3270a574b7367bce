#include "supervisor/device/device.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <random>

#include "base/log.h"
#include "supervisor/device/on_pump.h"
#include "supervisor/device/realtime.h"

namespace bulkhead::supervisor {
namespace {

using boost::asio::awaitable;
using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;

constexpr milliseconds kConfigfsDeadline{10'000};
// The kernel waits for our reply to a removal: not longer than this, even for a process that can't die.
constexpr seconds kEndDeadline{6};
constexpr seconds kLookAgain{1};
constexpr unsigned kSerialLooks = 10;
// A device's files that may be being opened at a time; more only hang on the same storage.
constexpr unsigned kFilesAtOnce = 2;
// A host that served for so long has not died of its start.
constexpr seconds kSteady{1};
constexpr milliseconds kFirstPause{100}, kLongestPause{10'000};
// Failures in a row after which a device that recovers counts as failed.
constexpr unsigned kGiveUpAfter = 3;

// Exponential, and off by up to a quarter, so that a hundred devices that fail together don't retry together.
milliseconds pause_after(unsigned failures) {
  if (failures <= 1) return milliseconds(0);
  const auto doubled = kFirstPause * (1u << std::min(failures - 2, 7u));
  static std::minstd_rand random{std::random_device{}()};
  const auto pause = std::min<milliseconds>(doubled, kLongestPause);
  return pause - milliseconds(random() % (static_cast<unsigned>(pause.count()) / 4));
}

}  // namespace

Device::Device(DeviceContext context, Pump& pump, UioDevice uio, DeviceHandler handler)
    : context_(context),
      pump_(pump),
      key_{uio.name.hba, uio.name.device},
      label_(key_.text()),
      uio_(std::move(uio)),
      handler_(std::move(handler)),
      files_(context.files, kFilesAtOnce, context.images, label_),
      keeper_(context.pool, context.store, uio_.minor.value, label_),
      wake_(context.io),
      idle_wake_(context.io),
      requests_(context.io),
      watch_wake_(context.io),
      state_since_usec_(realtime_usec()) {}

Device::~Device() {
  drop_host();
}

bool Device::take_over_wait(PendingReply& added) {
  if (accepted_ || given_up_) return false;
  added_ = std::move(added);
  return true;
}

awaitable<void> Device::live(KernelDeviceAge age, PendingReply added, std::optional<KeptLun> kept) {
  const auto self = shared_from_this();
  age_ = age;
  added_ = std::move(added);
  accepted_ = age == KernelDeviceAge::Used;
  fire(DeviceEvent::Begin, "");
  if (kept) {
    co_await limit_again();
    auto adopted = co_await adopt(std::move(*kept));
    if (!adopted) co_await give_up_adoption(adopted.error());
  }
  boost::asio::co_spawn(context_.io, watch(), boost::asio::detached);
  while (!leaving_) {
    Result<> up;
    if (host_ && (!attached_ || host_end_)) {  // adopted, or of a configuration that is refused
      log(Level::Warning, log_fields(), "this handler-host can't go on; a fresh one takes its commands");
      ask_at_end_ = true;
      co_await lose_host();
      if (leaving_) break;
    }
    if (ring_broken_ && !host_) co_await reopen_ring();
    const bool going_on = host_ != nullptr;  // it was adopted, or a request has brought it up
    if (!going_on) up = co_await bring_up();
    if (!up) {
      failed(up.error());
      co_await lose_host();
      if (!accepted_) {
        // Closed first: a uio device that is unregistered while it is open stays "open" (uio_release does not
        // ask the driver then), and whoever made it may mend what is wrong and enable it again.
        co_await close_kernel_side();
        // The kernel undoes the device, and whoever made it has the errno.
        given_up_ = !leaving_;
        added_.answer(up);
        break;
      }
      co_await pause_before_retry();
      continue;
    }
    accepted_ = true;
    added_.answer(up);
    co_await unblock();
    serving_now();
    co_await serve();
    if (leaving_) break;
    if (ring_broken_ && host_ && !host_end_)
      host_->kill("is replaced, as the kernel's ring must be opened anew");
    co_await lose_host();
  }
  co_await take_down();
  watch_over_ = true;
  watch_wake_.notify();
  added_.answer(fail(Cause::NotFound, ENODEV, "the device is being removed"));
}

void Device::serving_now() {
  serving_since_ = steady_clock::now();
  ever_served_ = true;
  fire(DeviceEvent::HostReady, "");
  if (held_) fire(DeviceEvent::Hold, "held by an operator");
  const std::string_view who = adopted_host_         ? "the handler-host of the last supervisor"
                               : hosts_started_ == 1 ? "handler-host"
                                                     : "a fresh handler-host";
  log(Level::Info,
      {log_fields().device, log_fields().subtype, host_->pid(), 0,
       adopted_host_ ? kMsgHostsAdopted : kMsgDeviceServing},
      fmt::format("{} serves {}", who, uio_.name.dev_config));
  if (adopted_host_) context_.observer.event(key_, "host-adopted", fmt::format("host {}", host_->pid()));
}

void Device::failed(const Error& error) {
  if (leaving_) return;
  ++failures_;
  fire(failures_ > kGiveUpAfter && state_ == DeviceState::Recovering ? DeviceEvent::HostGaveUp
                                                                     : DeviceEvent::HostDied,
       error.what);
  auto fields = log_fields();
  fields.sys_errno = error.sys_errno;
  fields.message_id = kMsgDeviceFailed;
  log(Level::Error, fields, fmt::format("can't be served: {}", error.what));
  context_.observer.event(key_, "open-failed", error.what);
}

awaitable<Result<>> Device::bring_up() {
  if (!kernel_) {
    auto opened = co_await open_kernel_side();
    if (!opened) {
      // Half open is closed: the next attempt begins at the beginning.
      co_await close_kernel_side();
      co_return opened;
    }
  }
  if (leaving_) co_return fail(Cause::NotFound, ENODEV, "the device is being removed");
  co_return co_await start_host();
}

awaitable<void> Device::pump_do(std::move_only_function<void()> work) {
  return on_pump(context_.io, pump_, std::move(work));
}

// Until the host is gone, the ring is of no use, or we are to leave.
awaitable<void> Device::serve() {
  auto over = [this] { return leaving_ || ring_broken_ || !host_ || host_end_ || host_doomed_; };
  while (!over()) {
    co_await work_off_requests();
    if (over()) break;
    // Another host than the one it was when this began.
    if (state_ != DeviceState::Serving && state_ != DeviceState::Held) serving_now();
    // rtslib writes the serial after it has enabled the device; of its coming nobody tells.
    const bool look = wwn_.empty() && serial_looks_ < kSerialLooks;
    const auto until = blocked_ || look ? steady_clock::now() + kLookAgain : Wake::kNever;
    co_await wake_.wait_until(until);
    if (blocked_ && !over()) co_await unblock();
    if (look && !over()) {
      ++serial_looks_;
      const auto identity = co_await host_asks_identity();
    }
  }
}

awaitable<void> Device::pause_before_retry() {
  const auto until = steady_clock::now() + pause_after(failures_);
  while (!leaving_) {
    if (!requests_.empty()) {
      co_await work_off_requests();
      break;  // whoever asked wants it tried again now
    }
    const bool woken = co_await wake_.wait_until(until);
    if (!woken) break;
  }
}

// The present host, if there is one, is ended and its channel taken away: what it had waits for the next one.
awaitable<void> Device::lose_host() {
  if (!host_) co_return;
  const bool served = state_ == DeviceState::Serving || state_ == DeviceState::Held;
  if (!host_end_) {
    host_->kill("is replaced");
    // It may take long to end: what it has not read yet need not wait for that.
    co_await keep_commands_from_host(true);
  }
  co_await host_gone(Wake::kNever);
  if (!host_end_) co_return;  // we are to leave, and it can't be killed
  // A host that owes no answer has told what it knew. Asked first: aborted commands are answered with the
  // channel's end.
  if (ask_at_end_ || stats_->in_flight.get() != 0) ask_witness();
  co_await take_channel_away();
  co_await keep_commands_from_host(false);
  if (served) {
    ++deaths_;
    failures_ = steady_clock::now() - serving_since_ > kSteady ? 1 : failures_ + 1;
    auto fields = log_fields();
    fields.message_id = kMsgHostDied;
    log(Level::Error, fields,
        fmt::format("handler-host {}; {} commands wait for the next one", last_exit_,
                    stats_->in_flight.get()));
    context_.observer.event(key_, "host-died", last_exit_);
    fire(DeviceEvent::HostDied, "handler-host " + last_exit_);
    drop_host();
    if (!ring_broken_) co_await pause_before_retry();
    co_return;
  }
  drop_host();
}

awaitable<void> Device::take_down() {
  const Leave how = leaving_.value_or(Leave::Removed);
  fire(DeviceEvent::Remove, how == Leave::Stopped ? "the supervisor is stopping" : "");
  if (how == Leave::Stopped && kernel_) co_await settle_for_stop();
  if (host_) {
    if (attached_) co_await close_host();
    if (!host_end_) host_->kill("is no longer needed");
    co_await host_gone(steady_clock::now() + kEndDeadline);
  }
  requests_.refuse(fail(Cause::NotFound, ENODEV, "the device is being removed").error());
  const bool unanswered = co_await close_kernel_side();
  // One that can't be killed may yet write: until it is gone its images are nobody else's.
  if (auto images = files_.let_go(); host_ && !host_end_) host_->hold_until_end(std::move(images));
  drop_host();
  context_.cgroups.remove_leaf(leaf_name());
  if (how == Leave::Stopped && unanswered) {
    // Nobody of ours can touch its data any more: the initiators get BUSY and retry.
    auto job = [root = context_.root, name = uio_.name] {
      return Backstore(root, name).reset_ring(ResetRing::Busy);
    };
    auto reset = co_await context_.pool.run<void>("reset the ring", kConfigfsDeadline, std::move(job));
    if (!reset) log(Level::Error, log_fields(), reset.error().what);
  }
}

void Device::leave(Leave how) {
  if (leaving_) return;
  leaving_ = how;
  if (host_ &&
      (state_ == DeviceState::Starting || state_ == DeviceState::Recovering || state_ == DeviceState::Failed))
    host_->kill("is no longer needed");
  wake_.notify();
}

void Device::fire(DeviceEvent event, std::string reason) {
  const auto to = next(state_, event);
  if (!to) {
    log(Level::Warning, log_fields(),
        fmt::format("event '{}' makes no sense in state '{}'; ignored", to_string(event), to_string(state_)));
    return;
  }
  if (state_ != *to) state_since_usec_ = realtime_usec();
  state_ = *to;
  state_reason_ = std::move(reason);
  set_wait_limits();
  changed();
}

std::uint32_t Device::host_uid() const {
  return context_.hosts.uid_base == 0 ? 0 : context_.hosts.uid_base + 1 + uio_.minor.value;
}

std::string Device::leaf_name() const {
  return fmt::format("uio{}", uio_.minor.value);
}

void Device::changed() {
  save_record();
  context_.observer.device_changed(key_);
}

LogFields Device::log_fields() const {
  return {.device = label_, .subtype = handler_.manifest.subtype(), .host_pid = host_ ? host_->pid() : 0};
}

}  // namespace bulkhead::supervisor
