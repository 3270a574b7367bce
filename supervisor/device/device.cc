#include "supervisor/device/device.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <random>

#include "base/log.h"
#include "supervisor/device/on_pump.h"

namespace bulkhead::supervisor {
namespace {

using boost::asio::awaitable;
using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;

constexpr milliseconds kConfigfsDeadline{10'000};
// For a host's first word, at least: loading it and building its walls is all it does until then.
constexpr seconds kHelloDeadline{10};
constexpr seconds kDrainDeadline{5};
constexpr seconds kKillGrace{5};
constexpr seconds kLookAgain{1};
constexpr unsigned kSerialLooks = 10;
// A device's files that may be being opened at a time; more only hang on the same storage.
constexpr unsigned kFilesAtOnce = 2;
// A host that served for so long has not died of its start.
constexpr seconds kSteady{1};
constexpr milliseconds kFirstPause{100}, kLongestPause{10'000};
// Failures in a row after which a device that recovers counts as failed.
constexpr unsigned kGiveUpAfter = 3;

std::uint64_t realtime_usec() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(now).count());
}

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

// Its coroutines may live on, until the process is gone; they must not reach us then.
void Device::drop_host() {
  if (host_) host_->abandon();
  host_.reset();
  witness_.reset();
  offer_.reset();
  granted_.reset();
  grant_state_ = kNoGrant;
  ask_at_end_ = false;
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
    if (ring_broken_ && !host_) co_await reopen_ring();
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

awaitable<void> Device::take_channel_away() {
  if (!attached_) co_return;
  attached_ = false;
  auto detach = [this] { pump_.detach(*this); };
  co_await pump_do(std::move(detach));
  co_await keeper_.drop_host();
}

// All channels of a journal are of its size, whatever a later build's manifest says.
ChannelSize Device::channel_size() const {
  if (journal_)
    return {.slots = journal_->slots(), .data_bytes = std::uint64_t{journal_->pages()} * channel::kPage};
  const auto& limits = handler_.manifest.limits();
  return {.slots = limits.commands(), .data_bytes = std::uint64_t{limits.data_mebibytes()} << 20};
}

seconds Device::open_limit() const {
  return context_.policies.of(label_).open_limit.value_or(seconds(handler_.manifest.limits().open_seconds()));
}

seconds Device::close_limit() const {
  return context_.policies.of(label_).close_limit.value_or(
      seconds(handler_.manifest.limits().close_seconds()));
}

std::string Device::handler_config() const {
  const auto slash = uio_.name.dev_config.find('/');
  return slash == std::string::npos ? std::string() : uio_.name.dev_config.substr(slash + 1);
}

control::Start Device::start_message() const {
  control::Start start;
  start.set_subtype(handler_.manifest.subtype());
  start.set_library(handler_.library);
  start.set_slots(channel_size().slots);
  start.set_data_bytes(channel_size().data_bytes);
  return start;
}

control::Open Device::open_message() const {
  control::Open open;
  open.set_id(0);
  open.set_device(label_);
  open.set_config(handler_config());
  open.set_size_bytes(kernel_->facts.size.value);
  open.set_block_bytes(kernel_->facts.block_bytes);
  open.set_max_sectors(kernel_->facts.max_sectors);
  open.set_largest_transfer_bytes(static_cast<std::uint32_t>(channel_size().data_bytes));
  if (!unit_state_.empty()) open.set_unit_state(unit_state_);
  if (writes_lost_) open.set_writes_lost(true);
  return open;
}

awaitable<Result<>> Device::start_host() {
  auto asking = context_.starts.take(ever_served_);
  StartGate::Turn turn = co_await std::move(asking);
  if (leaving_) co_return fail(Cause::NotFound, ENODEV, "the device is being removed");
  auto ends = Channel::create(channel_size());
  if (!ends) co_return std::unexpected(std::move(ends.error()));
  auto leaf = co_await make_leaf();
  if (!leaf) co_return std::unexpected(std::move(leaf.error()));
  const std::string& subtype = handler_.manifest.subtype();
  const HostCommand command{.binary = context_.hosts.binary,
                            .visible_name = fmt::format("tcmu-host: {}/{}", subtype, key_.name),
                            .uid = host_uid(),
                            .sandbox = host_arguments(),
                            .cgroup_fd = leaf->get()};
  host_end_.reset();
  adopted_host_ = false;
  host_doomed_ = false;
  auto session = HostSession::launch(context_.io, command, label_, *this);
  if (!session) co_return std::unexpected(std::move(session.error()));
  host_ = *session;
  host_since_usec_ = realtime_usec();
  ++hosts_started_;
  control::Start start = start_message();
  auto introduced = co_await introduce(std::move(start), std::move(ends->host), std::move(turn));
  if (!introduced) co_return introduced;
  if (auto sound = check_walls(host_->pidfd(), host_->told_walls()); !sound) co_return sound;
  co_await keep_host(std::move(ends->kept));
  if (leaving_) co_return fail(Cause::NotFound, ENODEV, "the device is being removed");
  Result<> watched;
  auto attach = [this, &watched, limit = busy_poll(), channel = std::move(ends->channel)]() mutable {
    path_->attach(std::move(channel));
    path_->set_busy_poll(limit);
    watched = pump_.watch_channel(*this);
  };
  attached_ = true;
  co_await pump_do(std::move(attach));
  if (!watched) co_await take_channel_away();
  apply_grant();
  co_return watched;
}

awaitable<Result<>> Device::introduce(control::Start start, HostEnds ends, StartGate::Turn turn) {
  const seconds limit = open_limit();
  std::optional<HostEnds> given(std::move(ends));
  auto started = co_await host_->start(std::move(start), std::move(given), std::max(kHelloDeadline, limit));
  turn.end();
  if (!started) co_return started;
  auto opened = co_await host_->open(open_message(), limit);
  // It owes the failure from now on, and tells so in its unit_state.
  if (opened) writes_lost_ = false;
  // The handler begins with its cache on; whoever switched it off has stopped to ask for flushes.
  if (opened && write_cache_off_) co_return co_await host_->set_write_cache(false, limit);
  co_return opened;
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

// Waits until the process is gone: before that nobody else may touch its data. Says so if that takes long.
awaitable<void> Device::host_gone(Time give_up) {
  auto complain_at = steady_clock::now() + kKillGrace;
  auto fields = log_fields();
  fields.message_id = kMsgHostUnkillable;
  std::string complaint;
  while (!host_end_ && steady_clock::now() < give_up && !(leaving_ && give_up == Wake::kNever)) {
    co_await wake_.wait_until(std::min(complain_at, give_up));
    if (host_end_ || steady_clock::now() < complain_at) continue;
    complain_at = Wake::kNever;
    complaint = fmt::format("handler-host {} can't be killed; its storage does not answer", host_->pid());
    log(Level::Error, fields, complaint + "; commands wait, and no other host is started until it has ended");
    context_.observer.event(key_, "host-unkillable", complaint);
    if (state_ == DeviceState::Serving || state_ == DeviceState::Held) fire(DeviceEvent::HostDied, "");
    state_reason_ = complaint;
    changed();
  }
  if (complaint.empty() || !host_end_) co_return;
  if (state_reason_ == complaint) state_reason_.clear();
  log(Level::Info, fields, fmt::format("handler-host {} has ended at last", fields.host_pid));
  changed();
}

// In good order: what it has is answered, then it flushes, closes and ends. Deadlines all the way.
// True: it has answered everything, and has closed its backstore.
awaitable<bool> Device::close_host() {
  if (!host_ || host_end_) co_return false;
  idle_ = false;
  auto call = [this] {
    path_->call_when_idle();
    pump_.schedule(*this);
  };
  co_await pump_do(std::move(call));
  const auto drained_by = steady_clock::now() + kDrainDeadline;
  while (!idle_ && !host_end_) {
    const bool woken = co_await idle_wake_.wait_until(drained_by);
    if (!woken) break;
  }
  if (host_end_) co_return false;
  if (!idle_) {
    host_->kill(fmt::format("did not answer its commands within {} s", kDrainDeadline.count()));
    co_return false;
  }
  const seconds limit = close_limit();
  auto closed = co_await host_->close(limit);
  if (!closed) log(Level::Error, log_fields(), fmt::format("closing failed: {}", closed.error().what));
  co_return closed.has_value();
}

awaitable<void> Device::take_down() {
  const Leave how = leaving_.value_or(Leave::Removed);
  fire(DeviceEvent::Remove, how == Leave::Stopped ? "the supervisor is stopping" : "");
  if (how == Leave::Stopped && kernel_) co_await settle_for_stop();
  if (host_) {
    if (attached_) co_await close_host();
    if (!host_end_) host_->kill("is no longer needed");
    // The kernel waits for our reply to the removal: not longer than this, even for a process that can't die.
    co_await host_gone(steady_clock::now() + kKillGrace + seconds(1));
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

void Device::host_ended(const std::string& how) {
  const std::string starved = context_.cgroups.out_of_memory(leaf_name());
  last_exit_ = starved.empty() ? how : starved;
  host_end_ = last_exit_;
  wake_.notify();
  idle_wake_.notify();
}

}  // namespace bulkhead::supervisor
