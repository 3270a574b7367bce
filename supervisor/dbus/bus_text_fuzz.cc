// Any bytes on their way to the bus, from a config string, a host's log line, a caller's argument: what comes
// out is what sd-bus takes, as a string or as an element of an object path, and two names never become one.
#include <systemd/sd-bus.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/error.h"
#include "supervisor/dbus/text.h"

namespace {

using namespace bulkhead::supervisor;

// Names are those of folders in configfs, or of files; an object path has at most 64 KiB.
constexpr std::size_t kLongestName = 255;

void check_string(std::string_view text) {
  const std::string clean = utf8(text);
  BULKHEAD_CHECK(clean.find('\0') == std::string::npos);
  BULKHEAD_CHECK(utf8(clean) == clean);
  // sd-bus judges it as it would judge an argument.
  if (clean.size() <= kLongestName)
    BULKHEAD_CHECK(sd_bus_object_path_is_valid(("/" + path_element(clean)).c_str()) > 0);
}

void check_path(const std::string& text) {
  const std::string path = "/" + path_element(text);
  BULKHEAD_CHECK(sd_bus_object_path_is_valid(path.c_str()) > 0);
  char* back = nullptr;
  BULKHEAD_CHECK(sd_bus_path_decode(path.c_str(), "/", &back) > 0);
  BULKHEAD_CHECK(text.c_str() == std::string(back));
  std::free(back);
  BULKHEAD_CHECK(sd_bus_object_path_is_valid(device_path({.hba = text, .name = text}).c_str()) > 0);
  BULKHEAD_CHECK(sd_bus_object_path_is_valid(handler_path(text).c_str()) > 0);
  if (exportable_subtype(text)) BULKHEAD_CHECK(text.find('/') == std::string::npos && !text.empty());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  check_string(text);
  // An argument has no NUL in it: sd-bus refuses the message.
  check_path(std::string(text.substr(0, std::min(text.find('\0'), kLongestName))));
  return 0;
}
