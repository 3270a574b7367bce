#include "supervisor/dbus/bus_service.h"

#include <fmt/format.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <utility>

#include "base/log.h"
#include "supervisor/dbus/name_claim.h"

namespace bulkhead::supervisor {

BusService::BusService(boost::asio::io_context& io, ServiceModel& model, BusEvents& events,
                       BusOptions options)
    : model_(model),
      events_(events),
      loop_(io, options.address, *this),
      legacy_(loop_, model, options.forward_deadline),
      handler_manager_(loop_, *this),
      devices_(loop_, model, options.authorization_deadline),
      root_(loop_, devices_, std::move(options.version)) {}

void BusService::start() {
  loop_.start();
}
void BusService::stop() {
  loop_.stop();
}

Result<> BusService::connected(sd_bus* bus) {
  Result<> exported = export_all(bus);
  if (!exported) return exported;
  boost::asio::co_spawn(loop_.io(), own_name(++connection_), boost::asio::detached);
  return {};
}

Result<> BusService::export_all(sd_bus* bus) {
  Result<> done = legacy_.attach(bus);
  if (done) done = handler_manager_.attach(bus);
  if (done) done = root_.attach(bus);
  if (done) done = devices_.attach();
  if (!done) return done;
  // A handler that can't be shown is its packager's mistake; the others are served.
  for (const HandlerReport& handler : model_.handlers()) {
    Result<> shown = root_.add_handler(handler);
    if (shown) shown = legacy_.add(handler);
    if (!shown) log(Level::Error, {.subtype = handler.subtype}, shown.error().what);
  }
  return {};
}

void BusService::disconnected() {
  ++connection_;
  handler_manager_.detach();
  devices_.detach();
  root_.detach();
  legacy_.detach();
}

void BusService::trouble(const Error& error, std::chrono::milliseconds retry) {
  if (std::exchange(last_trouble_, error.what) == error.what) return;
  log(Level::Warning, {.sys_errno = error.sys_errno},
      fmt::format("{}; devices are served without D-Bus, next try in {} ms", error.what, retry.count()));
}

boost::asio::awaitable<void> BusService::own_name(std::uint64_t connection) {
  auto claim = claim_name(loop_);
  Result<> owned = co_await std::move(claim);
  if (connection != connection_)
    co_return;  // the bus has gone meanwhile; the next connection has its own claim
  if (owned) {
    last_trouble_.clear();
    events_.name_acquired();
    co_return;
  }
  bool refused = owned.error().cause == Cause::Busy || owned.error().cause == Cause::Denied;
  if (refused) events_.name_refused(owned.error());
  if (connection == connection_) loop_.drop(owned.error());
}

Result<> BusService::handler_registered(const HandlerReport& handler) {
  Result<> shown = legacy_.add(handler);
  if (!shown) return shown;
  shown = root_.add_handler(handler);
  if (!shown) legacy_.remove(handler.subtype);
  return shown;
}

void BusService::handler_vanished(const std::string& subtype) {
  legacy_.remove(subtype);
  root_.remove_handler(subtype);
}

void BusService::device_added(const DeviceKey& key) {
  devices_.add(key);
  root_.counts_changed();
}

void BusService::device_changed(const DeviceKey& key) {
  devices_.changed(key);
  root_.counts_changed();
}

void BusService::device_removed(const DeviceKey& key) {
  devices_.remove(key);
  root_.counts_changed();
}

void BusService::event(const DeviceKey& key, std::string_view kind, std::string_view text) {
  root_.event(key, kind, text);
}

}  // namespace bulkhead::supervisor
