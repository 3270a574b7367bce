// A device's present host: how it is started, closed in good order, and seen to be gone.
#include <fmt/format.h>

#include <algorithm>

#include "base/log.h"
#include "supervisor/device/device.h"
#include "supervisor/device/realtime.h"

namespace bulkhead::supervisor {
namespace {

using boost::asio::awaitable;
using std::chrono::seconds;
using std::chrono::steady_clock;

// For a host's first word, at least: loading it and building its walls is all it does until then.
constexpr seconds kHelloDeadline{10};
constexpr seconds kDrainDeadline{5};
constexpr seconds kKillGrace{5};

}  // namespace

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
  auto session = HostSession::launch(context_.io, context_.files, command, label_, *this);
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

void Device::host_ended(const std::string& how) {
  const std::string starved = context_.cgroups.out_of_memory(leaf_name());
  last_exit_ = starved.empty() ? how : starved;
  host_end_ = last_exit_;
  wake_.notify();
  idle_wake_.notify();
}

awaitable<void> Device::take_channel_away() {
  if (!attached_) co_return;
  attached_ = false;
  auto detach = [this] { pump_.detach(*this); };
  co_await pump_do(std::move(detach));
  co_await keeper_.drop_host();
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

}  // namespace bulkhead::supervisor
