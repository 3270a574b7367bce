#include "supervisor/dbus/operator_root.h"

#include <fmt/format.h>

#include <cerrno>
#include <chrono>
#include <utility>

#include "proto/bus_names.h"
#include "supervisor/dbus/append.h"
#include "supervisor/dbus/text.h"

namespace bulkhead::supervisor {
namespace {

std::uint64_t realtime_usec() {
  auto since_epoch = std::chrono::system_clock::now().time_since_epoch();
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::microseconds>(since_epoch).count());
}

template <std::string HandlerReport::* Member>
int get(sd_bus*, const char*, const char*, const char*, sd_bus_message* reply, void* report,
        sd_bus_error*) noexcept {
  return append(reply, static_cast<const HandlerReport*>(report)->*Member);
}

constexpr std::uint64_t kConst = SD_BUS_VTABLE_PROPERTY_CONST;
constexpr std::uint64_t kEmits = SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE;

// A handler's description does not change while the supervisor runs.
constexpr sd_bus_vtable kHandlerVtable[] = {
    SD_BUS_VTABLE_START(0),
    SD_BUS_PROPERTY("Subtype", "s", get<&HandlerReport::subtype>, 0, kConst),
    SD_BUS_PROPERTY("Name", "s", get<&HandlerReport::name>, 0, kConst),
    SD_BUS_PROPERTY("ConfigDescription", "s", get<&HandlerReport::config_description>, 0, kConst),
    SD_BUS_PROPERTY("Library", "s", get<&HandlerReport::library>, 0, kConst),
    SD_BUS_PROPERTY("BusName", "s", get<&HandlerReport::bus_name>, 0, kConst),
    SD_BUS_PROPERTY("Problem", "s", get<&HandlerReport::problem>, 0, kConst),
    SD_BUS_VTABLE_END,
};

}  // namespace

constexpr sd_bus_vtable OperatorRoot::kVtable[] = {
    SD_BUS_VTABLE_START(0),
    SD_BUS_PROPERTY("Version", "s", &OperatorRoot::get_version, 0, kConst),
    SD_BUS_PROPERTY("StartTime", "t", &OperatorRoot::get_start_time, 0, kConst),
    SD_BUS_PROPERTY("DeviceCount", "u", &OperatorRoot::get_device_count, 0, kEmits),
    SD_BUS_PROPERTY("DevicesByState", "a{su}", &OperatorRoot::get_by_state, 0, kEmits),
    SD_BUS_SIGNAL_WITH_NAMES("Event", "sos", SD_BUS_PARAM(kind) SD_BUS_PARAM(device) SD_BUS_PARAM(text), 0),
    SD_BUS_VTABLE_END,
};

OperatorRoot::OperatorRoot(BusLoop& loop, const DeviceObjects& devices, std::string version)
    : loop_(loop), devices_(devices), version_(std::move(version)), started_usec_(realtime_usec()) {}

Result<> OperatorRoot::attach(sd_bus* bus) {
  int r = sd_bus_add_object_manager(bus, Out(manager_), bus::kDevicesRoot);
  if (r >= 0)
    r = sd_bus_add_object_vtable(bus, Out(exported_), bus::kDevicesRoot, bus::kManagerInterface, kVtable,
                                 this);
  if (r < 0) return fail_errno(-r, fmt::format("export {}", bus::kDevicesRoot));
  return {};
}

void OperatorRoot::detach() {
  handlers_.clear();
  exported_.reset();
  manager_.reset();
  announced_.clear();
}

Result<> OperatorRoot::add_handler(const HandlerReport& handler) {
  if (handlers_.contains(handler.subtype))
    return fail(Cause::Busy, EEXIST, fmt::format("there is a handler '{}' already", handler.subtype));
  auto object = std::make_unique<Handler>(Handler{handler, nullptr});
  std::string path = handler_path(handler.subtype);
  int r = sd_bus_add_object_vtable(loop_.bus(), Out(object->exported), path.c_str(), bus::kHandlerInterface,
                                   kHandlerVtable, &object->report);
  if (r < 0) return fail_errno(-r, fmt::format("export {}", path));
  handlers_.emplace(handler.subtype, std::move(object));
  sd_bus_emit_object_added(loop_.bus(), path.c_str());
  loop_.flush_soon();
  return {};
}

void OperatorRoot::remove_handler(const std::string& subtype) {
  auto found = handlers_.find(subtype);
  if (found == handlers_.end()) return;
  sd_bus_emit_object_removed(loop_.bus(), handler_path(subtype).c_str());
  handlers_.erase(found);
  loop_.flush_soon();
}

void OperatorRoot::counts_changed() {
  Counts now = devices_.count_by_state();
  if (loop_.bus() == nullptr || now == announced_) return;
  announced_ = std::move(now);
  sd_bus_emit_properties_changed(loop_.bus(), bus::kDevicesRoot, bus::kManagerInterface, "DeviceCount",
                                 "DevicesByState", nullptr);
  loop_.flush_soon();
}

void OperatorRoot::event(const DeviceKey& key, std::string_view kind, std::string_view text) {
  if (loop_.bus() == nullptr) return;
  sd_bus_emit_signal(loop_.bus(), bus::kDevicesRoot, bus::kManagerInterface, "Event", "sos",
                     utf8(kind).c_str(), device_path(key).c_str(), utf8(text).c_str());
  loop_.flush_soon();
}

int OperatorRoot::get_version(sd_bus*, const char*, const char*, const char*, sd_bus_message* reply,
                              void* root, sd_bus_error*) noexcept {
  return append(reply, static_cast<OperatorRoot*>(root)->version_);
}

int OperatorRoot::get_start_time(sd_bus*, const char*, const char*, const char*, sd_bus_message* reply,
                                 void* root, sd_bus_error*) noexcept {
  return append(reply, static_cast<OperatorRoot*>(root)->started_usec_);
}

int OperatorRoot::get_device_count(sd_bus*, const char*, const char*, const char*, sd_bus_message* reply,
                                   void* root, sd_bus_error*) noexcept {
  return append(reply, static_cast<std::uint32_t>(static_cast<OperatorRoot*>(root)->devices_.size()));
}

int OperatorRoot::get_by_state(sd_bus*, const char*, const char*, const char*, sd_bus_message* reply,
                               void* root, sd_bus_error*) noexcept {
  int r = sd_bus_message_open_container(reply, 'a', "{su}");
  for (const auto& [state, count] : static_cast<OperatorRoot*>(root)->devices_.count_by_state())
    if (r >= 0) r = sd_bus_message_append(reply, "{su}", state.c_str(), count);
  return r < 0 ? r : sd_bus_message_close_container(reply);
}

}  // namespace bulkhead::supervisor
