// Looks after the commands of a device: ends waits that last too long, and hosts that have stopped working.
//
// One coroutine beside live(), because live() itself waits for hosts and storage. It sleeps while there is no
// command; the pump wakes it with the first one (DataPath::Events::busy).
#include <fmt/format.h>

#include <algorithm>

#include "base/log.h"
#include "supervisor/device/device.h"
#include "supervisor/device/host_evidence.h"
#include "supervisor/pump/cdb_text.h"

namespace bulkhead::supervisor {
namespace {

using boost::asio::awaitable;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::steady_clock;

// A hung host must not be saved by a /proc that hangs too.
constexpr milliseconds kEvidenceDeadline{1'000};
constexpr milliseconds kConfigfsDeadline{4'000};
// Whose wait ends next is looked at a little later, so that it is over then.
constexpr milliseconds kAfter{10};

Watchdog::Instant now_ns() {
  return steady_clock::now().time_since_epoch();
}

double seconds_of(nanoseconds time) {
  return std::chrono::duration<double>(time).count();
}

}  // namespace

awaitable<void> Device::watch() {
  const auto self = shared_from_this();
  auto next = Wake::kNever;
  while (!watch_over_) {
    co_await watch_wake_.wait_until(next);
    if (watch_over_) break;
    if (std::exchange(new_work_, false)) co_await read_command_timeout();
    const auto again = co_await look();
    next = again.value_or(Wake::kNever);
  }
}

// nullopt: there is nothing to look after.
awaitable<std::optional<Device::Time>> Device::look() {
  if (!path_on_pump_) co_return std::nullopt;
  const auto host = host_;
  PathLook seen;
  auto take = [this, &seen] {
    seen = path_->look();
    pump_.schedule(*this);
  };
  co_await pump_do(std::move(take));
  tell_expired();
  if (seen.in_flight == 0) co_return std::nullopt;
  std::optional<Watchdog::Seen> judged;
  if (host && host == host_ && attached_ && !host_end_ && !host_doomed_ && seen.with_host != 0)
    judged = Watchdog::Seen{nanoseconds(seen.oldest.given_ns), seen.oldest_is_slow,
                            nanoseconds(seen.host_answered_ns)};
  const DeviceSettings settings = context_.policies.of(label_);
  const std::uint32_t timeout_s = kernel_ ? kernel_->facts.command_timeout_s : 0;
  const auto limits =
      WatchLimits::of(std::chrono::seconds(timeout_s), settings.hang_warn, settings.hang_kill);
  const auto judgement = watchdog_.judge(now_ns(), judged, limits);
  if (judgement.verdict != Watchdog::Verdict::Nothing) co_await judge_host(host, judgement.verdict, seen);
  std::optional<Time> again;
  if (judgement.look_again) again = Time(*judgement.look_again);
  if (seen.reads_late_ns != 0)
    again = std::min(again.value_or(Wake::kNever), Time(nanoseconds(seen.reads_late_ns)) + kAfter);
  const std::uint64_t busy_after = WaitLimits::of(timeout_s).busy_after_ns;
  if (busy_after != 0) {
    // Those that the host has may yet have to wait for another one: but not longer than from now on.
    const Time waits_since =
        seen.oldest_waiting_ns != 0 ? Time(nanoseconds(seen.oldest_waiting_ns)) : steady_clock::now();
    again = std::min(again.value_or(Wake::kNever), waits_since + nanoseconds(busy_after) + kAfter);
  }
  // Nothing here ends; but only after a look that finds no command does the pump tell of the next one.
  if (!again) again = steady_clock::now() + std::chrono::seconds(60);
  co_return again;
}

awaitable<void> Device::judge_host(std::shared_ptr<HostSession> host, Watchdog::Verdict verdict,
                                   PathLook seen) {
  const pid_t pid = host->pid();
  const auto had = now_ns() - nanoseconds(seen.oldest.given_ns);
  const auto silent = now_ns() - nanoseconds(std::max(seen.oldest.given_ns, seen.host_answered_ns));
  std::move_only_function<Result<std::string>()> read = [pid]() -> Result<std::string> {
    return host_state(pid);
  };
  auto state = co_await context_.pool.run<std::string>("look at a host", kEvidenceDeadline, std::move(read));
  const std::string text = fmt::format(
      "handler-host {} has had a command for {:.1f} s and has answered none for {:.1f} s: [{}], {} in all; "
      "{}",
      pid, seconds_of(had), seconds_of(silent), CdbText(seen.oldest.cdb, seen.oldest.cdb_bytes).view(),
      seen.with_host, state ? *state : state.error().what);
  if (host != host_ || host_end_ || host_doomed_) co_return;
  auto fields = log_fields();
  if (verdict == Watchdog::Verdict::Warn) {
    const auto missed = slow_lines_.admit();
    if (!missed) co_return;
    fields.message_id = kMsgHostSlow;
    log(Level::Warning, fields, *missed == 0 ? text : fmt::format("{} ({} more before)", text, *missed));
    context_.observer.event(key_, "host-slow", text);
    if (context_.policies.of(label_).hang_dump.value_or(false)) co_await dump_host(pid);
    co_return;
  }
  ++watchdog_kills_;
  fields.message_id = kMsgHostHung;
  log(Level::Error, fields, text + "; it is ended, the next one goes on");
  context_.observer.event(key_, "host-hung", text);
  doom_host(fmt::format("answered nothing for {:.0f} s", seconds_of(silent)));
}

// What its threads are doing, as the kernel sees them: only on request, as it may tell addresses.
awaitable<void> Device::dump_host(pid_t pid) {
  using Lines = std::vector<std::string>;
  std::move_only_function<Result<Lines>()> read = [pid]() -> Result<Lines> { return host_threads(pid); };
  auto lines =
      co_await context_.pool.run<Lines>("look at a host's threads", kEvidenceDeadline, std::move(read));
  auto fields = log_fields();
  fields.message_id = kMsgHostSlow;
  if (!lines) {
    log(Level::Warning, fields, fmt::format("threads of handler-host {}: {}", pid, lines.error().what));
    co_return;
  }
  for (const std::string& line : *lines) log(Level::Warning, fields, line);
}

// live() sees to the rest; the process may take long to end.
void Device::doom_host(std::string why) {
  if (!host_ || host_end_) return;
  host_->kill(std::move(why));
  host_doomed_ = true;
  wake_.notify();
}

awaitable<void> Device::keep_commands_from_host(bool keep) {
  if (!path_on_pump_) co_return;
  auto set = [this, held = keep || held_] { path_->set_held(held); };
  co_await pump_do(std::move(set));
}

// It can't change while the device is exported, and without commands we don't know whether it is.
awaitable<void> Device::read_command_timeout() {
  auto job = [root = context_.root, name = uio_.name] { return Backstore(root, name).command_timeout(); };
  auto seconds =
      co_await context_.pool.run<std::uint32_t>("read cmd_time_out", kConfigfsDeadline, std::move(job));
  if (!seconds || !kernel_ || *seconds == kernel_->facts.command_timeout_s) co_return;
  kernel_->facts.command_timeout_s = *seconds;
  set_wait_limits();
}

void Device::set_wait_limits() {
  if (!path_on_pump_) return;
  WaitLimits limits = WaitLimits::of(kernel_->facts.command_timeout_s);
  limits.refuse = state_ == DeviceState::Failed &&
                  context_.policies.of(label_).on_failure.value_or(OnFailure::Hold) == OnFailure::Error;
  pump_.post([this, limits, rates = rate_limits()] {
    path_->set_wait_limits(limits);
    path_->set_rate_limits(rates);
    pump_.schedule(*this);
  });
}

// Whoever goes takes what waits along: nobody is there to limit any more.
RateLimits Device::rate_limits() const {
  if (leaving_) return {};
  const DeviceSettings settings = context_.policies.of(label_);
  const DeviceLimits chosen = limits_.value_or(
      DeviceLimits{settings.limit_iops.value_or(0), settings.limit_bytes_per_second.value_or(0)});
  RateLimits limits{.commands_per_second = chosen.iops, .bytes_per_second = chosen.bytes_per_second};
  if (settings.limit_burst)
    limits.burst_ms = static_cast<std::uint32_t>(std::chrono::milliseconds(*settings.limit_burst).count());
  return limits;
}

Result<> Device::set_limits(std::optional<DeviceLimits> limits) {
  if (limits && std::max(limits->iops, limits->bytes_per_second) > RateMeter::kMostPerSecond)
    return fail(Cause::BadInput, EINVAL,
                fmt::format("limits are at most {}, or 0 for none; {} and {} were asked for",
                            RateMeter::kMostPerSecond, limits->iops, limits->bytes_per_second));
  limits_ = limits;
  const RateLimits now = rate_limits();
  log(Level::Info, log_fields(),
      fmt::format("limits by {}: {} commands/s, {} bytes/s (0: none)", limits_ ? "SetLimits" : "tcmu.conf",
                  now.commands_per_second, now.bytes_per_second));
  set_wait_limits();
  changed();
  return {};
}

void Device::take_new_policies() {
  set_wait_limits();
  const char* refusal = grant_refusal();
  if ((granted_ != nullptr) == (refusal != nullptr))
    take_grant_anew();
  else if (refusal != nullptr)
    show_grant_state(refusal);
  watch_wake_.notify();
  changed();  // the limits can be read
}

void Device::tell_expired() {
  const std::uint64_t now = stats_->expired.get();
  if (now == expired_told_ || !expired_lines_.admit()) return;
  const auto text =
      fmt::format("{} commands were older than cmd_time_out and were answered without being run",
                  now - std::exchange(expired_told_, now));
  auto fields = log_fields();
  fields.message_id = kMsgCommandsExpired;
  log(Level::Warning, fields, text);
  context_.observer.event(key_, "commands-expired", text);
}

}  // namespace bulkhead::supervisor
