// Values of reports as D-Bus values: one function per type, so that a property is one line of a table.
// All return sd-bus's negative errno on failure.
#pragma once

#include <systemd/sd-bus.h>

#include <cstdint>
#include <map>
#include <string>

#include "supervisor/dbus/text.h"
#include "supervisor/model/device_state.h"
#include "supervisor/model/service_model.h"
#include "supervisor/model/walls.h"

namespace bulkhead::supervisor {

inline int append(sd_bus_message* to, const std::string& text) {
  return sd_bus_message_append(to, "s", utf8(text).c_str());
}
inline int append(sd_bus_message* to, DeviceState state) {
  return sd_bus_message_append(to, "s", std::string(to_string(state)).c_str());
}
inline int append(sd_bus_message* to, bool value) {
  return sd_bus_message_append(to, "b", int{value});
}
inline int append(sd_bus_message* to, std::uint32_t value) {
  return sd_bus_message_append(to, "u", value);
}
inline int append(sd_bus_message* to, std::uint64_t value) {
  return sd_bus_message_append(to, "t", value);
}
// A pid; "none" is 0.
inline int append(sd_bus_message* to, std::int32_t value) {
  return append(to, static_cast<std::uint32_t>(value < 0 ? 0 : value));
}
inline int append(sd_bus_message* to, const std::map<std::string, std::uint64_t>& counts) {
  int r = sd_bus_message_open_container(to, 'a', "{st}");
  for (const auto& [name, count] : counts)
    if (r >= 0) r = sd_bus_message_append(to, "{st}", utf8(name).c_str(), count);
  return r < 0 ? r : sd_bus_message_close_container(to);
}
// a{sa(tt)}
inline int append(sd_bus_message* to, const std::map<std::string, LatencyCounts>& histograms) {
  int r = sd_bus_message_open_container(to, 'a', "{sa(tt)}");
  for (const auto& [name, counts] : histograms) {
    if (r >= 0) r = sd_bus_message_open_container(to, 'e', "sa(tt)");
    if (r >= 0) r = sd_bus_message_append(to, "s", name.c_str());
    if (r >= 0) r = sd_bus_message_open_container(to, 'a', "(tt)");
    for (const auto& [most, count] : counts)
      if (r >= 0) r = sd_bus_message_append(to, "(tt)", most, count);
    if (r >= 0) r = sd_bus_message_close_container(to);
    if (r >= 0) r = sd_bus_message_close_container(to);
  }
  return r < 0 ? r : sd_bus_message_close_container(to);
}
// a{sv}
inline int append(sd_bus_message* to, const Walls& walls) {
  int r = sd_bus_message_open_container(to, 'a', "{sv}");
  for (const auto& [name, state] : walls)
    if (r >= 0) r = sd_bus_message_append(to, "{sv}", utf8(name).c_str(), "s", utf8(state).c_str());
  return r < 0 ? r : sd_bus_message_close_container(to);
}

}  // namespace bulkhead::supervisor
