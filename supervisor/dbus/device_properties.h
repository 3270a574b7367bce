// What a device shows on the bus: interface org.kernel.TCMUService1.Device1, and which of it has changed.
#pragma once

#include <systemd/sd-bus.h>

#include <functional>
#include <vector>

#include "supervisor/model/service_model.h"

namespace bulkhead::supervisor {

// What the vtable's functions find behind their userdata pointer.
class DeviceView {
 public:
  virtual ~DeviceView() = default;
  // As it was when the message at hand arrived. A client asked for it.
  virtual const DeviceReport& report_for_client() = 0;
  using Operation = std::move_only_function<boost::asio::awaitable<Result<>>(ServiceModel&, DeviceKey)>;
  // Answers `call` when the operation has ended.
  virtual void operate(sd_bus_message* call, Operation operation) = 0;
};

// Properties of "state" emit PropertiesChanged whenever they change. Counters are declared as not emitting,
// because nothing is sent while nobody looks: clients read them again when they want them.
extern const sd_bus_vtable kDeviceVtable[];

// Names of the properties that differ; they point into the vtable.
[[nodiscard]] std::vector<const char*> changed_state(const DeviceReport& before, const DeviceReport& now);
[[nodiscard]] std::vector<const char*> changed_counters(const DeviceReport& before, const DeviceReport& now);

// Appends the value of the property `name` to `to`, without a variant around it. Returns sd-bus's negative
// errno.
int append_property(sd_bus_message* to, const char* name, DeviceView& view);
[[nodiscard]] const char* property_signature(const char* name);

}  // namespace bulkhead::supervisor
