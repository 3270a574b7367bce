// The root of the operators' view, /org/kernel/TCMUDevices1: an ObjectManager of its own, the interface
// Manager1 (version, counts, events) and one object per handler. Devices are DeviceObjects' business.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "base/bus_handles.h"
#include "base/error.h"
#include "supervisor/dbus/bus_loop.h"
#include "supervisor/dbus/device_objects.h"
#include "supervisor/model/service_model.h"

namespace bulkhead::supervisor {

// Threads: the control thread.
class OperatorRoot {
 public:
  OperatorRoot(BusLoop& loop, const DeviceObjects& devices, std::string version);

  [[nodiscard]] Result<> attach(sd_bus* bus);
  void detach();

  // A handler that can't be used is shown too: its Problem says why. Errors: as LegacyService::add.
  [[nodiscard]] Result<> add_handler(const HandlerReport& handler);
  void remove_handler(const std::string& subtype);

  // To be called after devices came, went or changed state: announces what differs now.
  void counts_changed();
  void event(const DeviceKey& key, std::string_view kind, std::string_view text);

 private:
  using Counts = std::map<std::string, std::uint32_t>;
  static int get_version(sd_bus*, const char*, const char*, const char*, sd_bus_message*, void*,
                         sd_bus_error*) noexcept;
  static int get_start_time(sd_bus*, const char*, const char*, const char*, sd_bus_message*, void*,
                            sd_bus_error*) noexcept;
  static int get_device_count(sd_bus*, const char*, const char*, const char*, sd_bus_message*, void*,
                              sd_bus_error*) noexcept;
  static int get_by_state(sd_bus*, const char*, const char*, const char*, sd_bus_message*, void*,
                          sd_bus_error*) noexcept;
  static const sd_bus_vtable kVtable[];

  struct Handler {
    HandlerReport report;
    Slot exported;
  };

  BusLoop& loop_;
  const DeviceObjects& devices_;
  const std::string version_;
  const std::uint64_t started_usec_;  // CLOCK_REALTIME
  Slot manager_;
  Slot exported_;
  Counts announced_;
  std::map<std::string, std::unique_ptr<Handler>> handlers_;  // by subtype; sd-bus keeps pointers to them
};

}  // namespace bulkhead::supervisor
