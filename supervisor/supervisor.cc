#include "supervisor/supervisor.h"

#include <fmt/format.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <csignal>

#include "base/log.h"
#include "proto/bus_names.h"
#include "supervisor/config/config_watch.h"
#include "supervisor/configfs/kernel_interface.h"
#include "supervisor/process/process_setup.h"
#include "supervisor/process/stop_reason.h"
#include "supervisor/version.h"

namespace bulkhead::supervisor {
namespace {

namespace asio = boost::asio;
using asio::awaitable;
using std::chrono::milliseconds;

// A verdict on a device takes at most a handler's open limit and its host's start; the kernel gets one in any
// case.
constexpr milliseconds kReplyLimit{60'000};
constexpr milliseconds kLookDeadline{30'000};
constexpr milliseconds kReloadDeadline{10'000};
constexpr milliseconds kStopReasonDeadline{3'000};
constexpr milliseconds kLookAgain{5'000}, kLookAgainSoon{1'000};
// Far above what a bus that is there needs, and below systemd's limit for a start.
constexpr milliseconds kBusPatience{20'000};

}  // namespace

Supervisor::Supervisor(SettingsLoader loader, Settings settings, Parts parts)
    : loader_(std::move(loader)),
      settings_(std::move(settings)),
      parts_(std::move(parts)),
      hosts_{.binary = library_folder() + "/tcmu-handler-host", .uid_base = settings_.host_uid_base},
      manager_(DeviceContext{io_, pool_, files_, root_, parts_.cgroups, hosts_, settings_.devices, relay_,
                             parts_.store, images_, starts_},
               parts_.handlers, parts_.pumps, std::move(parts_.kept)),
      bus_(io_, manager_, *this, BusOptions{.version = kVersion}),
      state_(io_, pool_, parts_.store),
      link_(io_.get_executor(), std::move(parts_.port), kReplyLimit),
      signals_(io_, SIGTERM, SIGINT, SIGHUP) {
  relay_.to = &bus_;
}

int Supervisor::run() {
  bus_.start();
  asio::co_spawn(io_, follow_kernel(), asio::detached);
  asio::co_spawn(io_, follow_signals(), asio::detached);
  asio::co_spawn(io_, start_without_bus(), asio::detached);
  auto changed = [this] { asio::co_spawn(io_, reload_settings(), asio::detached); };
  asio::co_spawn(io_, watch_config(loader_.config_file(), std::move(changed)), asio::detached);
  io_.run();
  return exit_code_;
}

awaitable<void> Supervisor::follow_kernel() {
  auto started = link_.start();
  if (!started) {
    give_up(started.error().what);
    co_return;
  }
  asio::co_spawn(io_, watch_kernel_interface(), asio::detached);
  const Error ended = co_await manager_.follow(link_, *started);
  if (!stopping_) give_up(fmt::format("the line to the kernel is broken: {}", ended.what));
}

// Modules come and go, and configfs is mounted, without an event for all of it.
awaitable<void> Supervisor::watch_kernel_interface() {
  while (!stopping_) {
    auto check = [root = root_] { return check_kernel_interface(root); };
    const auto found =
        co_await pool_.run<void>("look for TCMU in the kernel", kLookDeadline, std::move(check));
    const std::string missing = found ? std::string() : found.error().what;
    const bool known = found || found.error().cause != Cause::TimedOut;
    if (known && missing != kernel_lacks_) {
      if (!missing.empty())
        log(Level::Error, {.message_id = kMsgKernelInterface},
            fmt::format("no devices can be served yet: {}", missing));
      else
        log(Level::Info, {.message_id = kMsgKernelInterface}, "the kernel is ready for devices");
      kernel_lacks_ = missing;
      show_status();
    }
    asio::steady_timer pause(io_, missing.empty() ? kLookAgain : kLookAgainSoon);
    co_await pause.async_wait(asio::use_awaitable);
  }
}

void Supervisor::show_status() {
  if (stopping_) return;
  std::string status = "Serving";
  if (!kernel_lacks_.empty())
    status = "Waiting: " + kernel_lacks_;
  else if (!named_once_)
    status = "Serving without D-Bus";
  state_.tell("STATUS=" + status);
}

awaitable<void> Supervisor::follow_signals() {
  while (!stopping_) {
    boost::system::error_code error;
    auto token = asio::redirect_error(asio::use_awaitable, error);
    const int number = co_await signals_.async_wait(token);
    if (error) co_return;
    if (number == SIGHUP) {
      reopen_log();
      continue;
    }
    log(Level::Info, {}, fmt::format("stopping on SIG{}", number == SIGTERM ? "TERM" : "INT"));
    co_await stop_or_make_way();
  }
}

awaitable<void> Supervisor::reload_settings() {
  // The file may lie on a LUN of ours: read off the control thread. One reload at a time touches the loader,
  // since changes are gathered for longer than a read takes; one that hangs keeps the old settings.
  auto read = [loader = loader_]() mutable -> Result<std::pair<SettingsLoader, LoadedSettings>> {
    auto settings = loader.load();
    return std::pair(std::move(loader), std::move(settings));
  };
  auto loaded = co_await pool_.run<std::pair<SettingsLoader, LoadedSettings>>(
      "read the configuration", kReloadDeadline, std::move(read));
  if (!loaded) {
    log(Level::Error, {.message_id = kMsgConfiguration}, loaded.error().what);
    co_return;
  }
  loader_ = std::move(loaded->first);
  take(std::move(loaded->second));
}

void Supervisor::take(LoadedSettings loaded) {
  for (const std::string& warning : loaded.warnings)
    log(Level::Warning, {.message_id = kMsgConfiguration}, warning);
  // What it closes stays closed.
  if (loaded.unread)
    return log(Level::Warning, {.message_id = kMsgConfiguration}, "what was read of it last still holds");
  Settings& fresh = loaded.settings;
  for (const auto key : needs_restart(settings_, fresh))
    log(Level::Warning, {.message_id = kMsgConfiguration},
        fmt::format("{} takes effect after a restart only", key));
  set_log_level(fresh.log_level);
  if (fresh.log_directory != settings_.log_directory) set_log_directory(fresh.log_directory);
  settings_.log_level = fresh.log_level;
  settings_.log_directory = fresh.log_directory;
  settings_.devices = std::move(fresh.devices);
  manager_.take_new_policies();
  log(Level::Info, {.message_id = kMsgConfiguration},
      fmt::format("{} was read again", loader_.config_file()));
}

// Devices need no bus. Whatever waits for our start does not wait for one that does not come.
awaitable<void> Supervisor::start_without_bus() {
  asio::steady_timer patience(io_, kBusPatience);
  co_await patience.async_wait(asio::use_awaitable);
  if (named_once_ || stopping_) co_return;
  state_.tell("READY=1");
  show_status();
}

// Before a restart, hosts are not disturbed: the next supervisor finds them in systemd's store.
awaitable<void> Supervisor::stop_or_make_way() {
  if (parts_.store.available()) {
    auto ask = [] { return ask_job_type(bus::kDefaultAddress, ::getpid()); };
    const auto job =
        co_await pool_.run<std::string>("ask systemd why it stops us", kStopReasonDeadline, std::move(ask));
    if (stop_reason(job) == StopReason::Restart && !stopping_) {
      stopping_ = true;
      state_.tell("STOPPING=1\nSTATUS=Making way for the next supervisor");
      co_await state_.told();
      // From here on nothing is waited for: nobody shall act on what leave_running() ends.
      log(Level::Info, {}, "the next supervisor goes on with the hosts");
      manager_.leave_running();
      bus_.stop();
      link_.close();
      io_.stop();
      co_return;
    }
  }
  co_await stop(0);
}

// The name goes first, so that nobody asks a service that is leaving; then the devices come to rest.
awaitable<void> Supervisor::stop(int exit_code) {
  if (stopping_) co_return;
  stopping_ = true;
  exit_code_ = exit_code;
  state_.tell("STOPPING=1\nSTATUS=Finishing the commands in flight");
  bus_.stop();
  co_await manager_.stop();
  // The process ends without destructors; whoever still waits in the kernel must not wait for us. At a stop
  // that was asked for nobody may come for long: no new wait begins, and those whose event nobody will read
  // any more end too.
  const Result<> alone = exit_code == 0 ? link_.wait_no_more() : Result<>();
  link_.close();
  if (!alone) log(Level::Warning, {.message_id = kMsgKernelInterface}, alone.error().what);
  if (exit_code == 0 && alone && kernel_lacks_.empty())
    if (auto ended = end_pending_netlink_waits(root_); !ended)
      log(Level::Warning, {.message_id = kMsgKernelInterface}, ended.error().what);
  co_await state_.told();
  io_.stop();
}

void Supervisor::give_up(const std::string& why) {
  log(Level::Critical, {}, why);
  state_.tell("STATUS=" + why);
  asio::co_spawn(io_, stop(1), asio::detached);
}

void Supervisor::name_acquired() {
  named_once_ = true;
  state_.tell("READY=1");
  show_status();
}

void Supervisor::name_refused(const Error& error) {
  // Once we had it, whoever took it will lose it again: bus restarts look like this too.
  if (!named_once_) give_up(error.what);
}

}  // namespace bulkhead::supervisor
