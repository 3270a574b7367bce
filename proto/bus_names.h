// Every name and path that is visible on the bus. The first group is tcmu-runner's and must not change.
#pragma once

namespace bulkhead::bus {

inline constexpr const char* kServiceName = "org.kernel.TCMUService1";
inline constexpr const char* kLegacyRoot = "/org/kernel/TCMUService1";
inline constexpr const char* kLegacyInterface = "org.kernel.TCMUService1";
inline constexpr const char* kHandlerManagerPath = "/org/kernel/TCMUService1/HandlerManager1";
inline constexpr const char* kHandlerManagerInterface = "org.kernel.TCMUService1.HandlerManager1";
inline constexpr const char* kHandlerManagerElement = "HandlerManager1";  // no subtype may be called this

inline constexpr const char* kDevicesRoot = "/org/kernel/TCMUDevices1";
inline constexpr const char* kManagerInterface = "org.kernel.TCMUService1.Manager1";
inline constexpr const char* kDeviceInterface = "org.kernel.TCMUService1.Device1";
inline constexpr const char* kHandlerInterface = "org.kernel.TCMUService1.Handler1";

inline constexpr const char* kObjectManagerInterface = "org.freedesktop.DBus.ObjectManager";
inline constexpr const char* kDefaultAddress = "unix:path=/run/dbus/system_bus_socket";

}  // namespace bulkhead::bus
