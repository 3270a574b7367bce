#include "supervisor/dbus/device_objects.h"

#include <fmt/format.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <cerrno>
#include <utility>

#include "base/log.h"
#include "proto/bus_names.h"
#include "supervisor/dbus/text.h"

namespace bulkhead::supervisor {
namespace {

using namespace std::chrono_literals;

constexpr auto kCounterPeriod = 1s;
constexpr auto kInterest = 60s;

const char* error_name(Cause cause) {
  switch (cause) {
    case Cause::BadInput:
      return SD_BUS_ERROR_INVALID_ARGS;
    case Cause::NotFound:
      return SD_BUS_ERROR_UNKNOWN_OBJECT;
    case Cause::Denied:
      return SD_BUS_ERROR_ACCESS_DENIED;
    case Cause::Exhausted:
      return SD_BUS_ERROR_LIMITS_EXCEEDED;
    case Cause::TimedOut:
      return SD_BUS_ERROR_TIMEOUT;
    case Cause::Busy:
    case Cause::PeerBroken:
    case Cause::Backend:
      return SD_BUS_ERROR_FAILED;
  }
  return SD_BUS_ERROR_FAILED;
}

}  // namespace

DeviceObjects::Object::Object(DeviceObjects& set, DeviceKey key)
    : set_(set), key_(std::move(key)), path_(device_path(key_)) {}

Result<> DeviceObjects::Object::publish() {
  refresh();
  announced_state_ = announced_counters_ = report_;
  int r = sd_bus_add_object_vtable(set_.loop_.bus(), Out(exported_), path_.c_str(), bus::kDeviceInterface,
                                   kDeviceVtable, static_cast<DeviceView*>(this));
  if (r < 0) return fail_errno(-r, fmt::format("export {}", path_));
  return {};
}

void DeviceObjects::Object::refresh() {
  std::optional<DeviceReport> now = set_.model_.device(key_);
  if (now) report_ = std::move(*now);  // else it is being removed: its last state stands
  read_in_turn_ = set_.loop_.turn();
}

// One message may read every property of every device: one report is made for all of it.
const DeviceReport& DeviceObjects::Object::report_for_client() {
  if (read_in_turn_ != set_.loop_.turn()) {
    refresh();
    set_.somebody_reads();
  }
  return report_;
}

void DeviceObjects::Object::announce_added() {
  sd_bus_emit_object_added(set_.loop_.bus(), path_.c_str());
}
void DeviceObjects::Object::announce_removed() {
  sd_bus_emit_object_removed(set_.loop_.bus(), path_.c_str());
}

void DeviceObjects::Object::announce_state() {
  refresh();
  announce(changed_state(announced_state_, report_));
  announced_state_ = report_;
}

void DeviceObjects::Object::announce_counters() {
  refresh();
  announce(changed_counters(announced_counters_, report_));
  announced_counters_ = report_;
}

// By hand and not by sd_bus_emit_properties_changed(), which takes no property that is declared as not
// emitting.
void DeviceObjects::Object::announce(const std::vector<const char*>& properties) {
  if (properties.empty()) return;
  Message signal;
  int r = sd_bus_message_new_signal(set_.loop_.bus(), Out(signal), path_.c_str(),
                                    "org.freedesktop.DBus.Properties", "PropertiesChanged");
  if (r >= 0) r = sd_bus_message_append(signal.get(), "s", bus::kDeviceInterface);
  if (r >= 0) r = sd_bus_message_open_container(signal.get(), 'a', "{sv}");
  for (const char* name : properties) {
    if (r >= 0) r = sd_bus_message_open_container(signal.get(), 'e', "sv");
    if (r >= 0) r = sd_bus_message_append(signal.get(), "s", name);
    if (r >= 0) r = sd_bus_message_open_container(signal.get(), 'v', property_signature(name));
    if (r >= 0) r = append_property(signal.get(), name, *this);
    if (r >= 0) r = sd_bus_message_close_container(signal.get());
    if (r >= 0) r = sd_bus_message_close_container(signal.get());
  }
  if (r >= 0) r = sd_bus_message_close_container(signal.get());
  if (r >= 0) r = sd_bus_message_append(signal.get(), "as", 0);
  if (r >= 0) r = sd_bus_send(set_.loop_.bus(), signal.get(), nullptr);
  // Clients can still read the properties; the connection's own end is told elsewhere.
  if (r < 0) log(Level::Debug, {.device = path_, .sys_errno = -r}, "PropertiesChanged could not be sent");
  set_.loop_.flush_soon();
}

void DeviceObjects::Object::operate(sd_bus_message* call, Operation operation) {
  boost::asio::co_spawn(set_.loop_.io(), set_.serve(keep(call), key_, std::move(operation)),
                        boost::asio::detached);
}

boost::asio::awaitable<void> DeviceObjects::serve(Message call, DeviceKey key,
                                                  DeviceView::Operation operation) {
  auto authorized = authorization_.check(keep(call.get()), key.text());
  Result<> outcome = co_await std::move(authorized);
  if (outcome) {
    auto work = operation(model_, key);
    outcome = co_await std::move(work);
  }
  if (outcome)
    sd_bus_reply_method_return(call.get(), "");
  else
    sd_bus_reply_method_errorf(call.get(), error_name(outcome.error().cause), "%s",
                               utf8(outcome.error().what).c_str());
  loop_.flush_soon();
}

Result<> DeviceObjects::attach() {
  for (const DeviceKey& key : model_.devices()) {
    auto object = std::make_unique<Object>(*this, key);
    Result<> published = object->publish();
    if (!published) return published;
    objects_.emplace(key, std::move(object));
  }
  return {};
}

void DeviceObjects::detach() {
  timer_.cancel();
  objects_.clear();
}

void DeviceObjects::add(const DeviceKey& key) {
  if (loop_.bus() == nullptr || objects_.contains(key)) return;
  auto object = std::make_unique<Object>(*this, key);
  Result<> published = object->publish();
  if (!published) {
    std::string device = key.text();
    return log(Level::Error, {.device = device}, published.error().what);
  }
  object->announce_added();
  objects_.emplace(key, std::move(object));
  loop_.flush_soon();
}

void DeviceObjects::changed(const DeviceKey& key) {
  auto found = objects_.find(key);
  if (found != objects_.end()) found->second->announce_state();
}

void DeviceObjects::remove(const DeviceKey& key) {
  auto found = objects_.find(key);
  if (found == objects_.end()) return;
  found->second->announce_removed();
  objects_.erase(found);
  loop_.flush_soon();
}

std::map<std::string, std::uint32_t> DeviceObjects::count_by_state() const {
  std::map<std::string, std::uint32_t> counts;
  for (const auto& [key, object] : objects_) ++counts[std::string(to_string(object->state()))];
  return counts;
}

void DeviceObjects::somebody_reads() {
  last_read_ = std::chrono::steady_clock::now();
  if (!std::exchange(timer_runs_, true)) announce_counters_every_second();
}

void DeviceObjects::announce_counters_every_second() {
  timer_.expires_after(kCounterPeriod);
  timer_.async_wait([this](const boost::system::error_code& ec) {
    bool wanted = std::chrono::steady_clock::now() - last_read_ < kInterest;
    if (ec || !wanted) {
      timer_runs_ = false;
      return;
    }
    for (const auto& [key, object] : objects_) object->announce_counters();
    announce_counters_every_second();
  });
}

}  // namespace bulkhead::supervisor
