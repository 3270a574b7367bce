// Judges a configuration string with a transient host, so that no such string is parsed with privilege.
// Threads: the control thread.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <string>

#include "supervisor/device/device.h"

namespace bulkhead::supervisor {

class ConfigChecks {
 public:
  explicit ConfigChecks(DeviceContext context) : context_(context) {}

  // Ends within the manifest's check limit and a little more, whatever the host does. Anyone may ask, so only
  // a few are judged at a time; the others are told to try again.
  boost::asio::awaitable<ConfigVerdict> check(DeviceHandler handler, std::string config, CallerRights rights);

 private:
  DeviceContext context_;
  unsigned under_way_ = 0;
  std::uint32_t last_uid_ = 0;
};

}  // namespace bulkhead::supervisor
