// Text on its way to the bus. sd-bus refuses a string that is not UTF-8, and one refused property would spoil
// the whole GetManagedObjects reply: yet dev_config is whatever bytes somebody wrote into configfs.
#pragma once

#include <string>
#include <string_view>

#include "supervisor/model/service_model.h"

namespace bulkhead::supervisor {

// `text` as UTF-8 without NUL: every byte that belongs to no valid sequence becomes U+FFFD.
[[nodiscard]] std::string utf8(std::string_view text);

// One element of an object path, as sd_bus_path_encode makes it ("vm.1" -> "vm_2e1").
[[nodiscard]] std::string path_element(const std::string& text);

[[nodiscard]] std::string device_path(const DeviceKey& key);
[[nodiscard]] std::string handler_path(const std::string& subtype);

// A subtype that can be an object beneath the ObjectManager known to targetcli.
[[nodiscard]] bool exportable_subtype(const std::string& subtype);

}  // namespace bulkhead::supervisor
