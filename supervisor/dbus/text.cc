#include "supervisor/dbus/text.h"

#include <fmt/format.h>
#include <systemd/sd-bus.h>

#include <cstdlib>

#include "proto/bus_names.h"

namespace bulkhead::supervisor {
namespace {

constexpr std::string_view kReplacement = "\xef\xbf\xbd";

// Bytes of the sequence that begins `text`, 0 if it is none (Unicode 15, table 3-7).
std::size_t sequence_length(std::string_view text) {
  auto byte = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u; };
  auto follows = [&](std::size_t i) { return (byte(i) & 0xc0u) == 0x80u; };
  unsigned first = byte(0);
  if (first == 0) return 0;
  if (first < 0x80) return 1;
  if (first >= 0xc2 && first <= 0xdf) return follows(1) ? 2 : 0;
  if (first >= 0xe0 && first <= 0xef) {
    bool overlong = first == 0xe0 && byte(1) < 0xa0;
    bool surrogate = first == 0xed && byte(1) > 0x9f;
    return follows(1) && follows(2) && !overlong && !surrogate ? 3 : 0;
  }
  if (first >= 0xf0 && first <= 0xf4) {
    bool overlong = first == 0xf0 && byte(1) < 0x90;
    bool too_high = first == 0xf4 && byte(1) > 0x8f;
    return follows(1) && follows(2) && follows(3) && !overlong && !too_high ? 4 : 0;
  }
  return 0;
}

// "user_1" is legal as it is and shall stay readable; sd_bus_path_encode would escape its underscore.
std::string plain_element(const std::string& text) {
  bool legal = !text.empty() && text.find('/') == std::string::npos &&
               sd_bus_object_path_is_valid(("/" + text).c_str()) != 0;
  return legal ? text : path_element(text);
}

}  // namespace

std::string utf8(std::string_view text) {
  std::string clean;
  clean.reserve(text.size());
  while (!text.empty()) {
    std::size_t length = sequence_length(text);
    clean += length == 0 ? kReplacement : text.substr(0, length);
    text.remove_prefix(length == 0 ? 1 : length);
  }
  return clean;
}

std::string path_element(const std::string& text) {
  char* path = nullptr;
  if (sd_bus_path_encode("/", text.c_str(), &path) < 0) return "_";  // only out of memory
  std::string element(path + 1);
  std::free(path);
  return element;
}

std::string device_path(const DeviceKey& key) {
  return fmt::format("{}/{}/{}", bus::kDevicesRoot, plain_element(key.hba), path_element(key.name));
}

std::string handler_path(const std::string& subtype) {
  return fmt::format("{}/handlers/{}", bus::kDevicesRoot, plain_element(subtype));
}

bool exportable_subtype(const std::string& subtype) {
  if (subtype.empty() || subtype == bus::kHandlerManagerElement) return false;
  if (subtype.find('/') != std::string::npos) return false;
  return sd_bus_object_path_is_valid(fmt::format("{}/{}", bus::kLegacyRoot, subtype).c_str()) != 0;
}

}  // namespace bulkhead::supervisor
