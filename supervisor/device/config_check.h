// Judges a configuration string with a transient host, so that no such string is parsed with privilege.
// Threads: the control thread.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <string>

#include "base/rate_limit.h"
#include "supervisor/device/device.h"

namespace bulkhead::supervisor {

class ConfigChecks {
 public:
  explicit ConfigChecks(DeviceContext context) : context_(context), files_(context.files, kFilesAtOnce) {}

  // Ends within the manifest's check limit and a little more, whatever the host does. Anyone may ask, so only
  // a few are judged at a time; the others are told to try again.
  boost::asio::awaitable<ConfigVerdict> check(DeviceHandler handler, std::string config, CallerRights rights);

 private:
  // Opened at a time, those included that nobody waits for any more.
  static constexpr unsigned kFilesAtOnce = 64;

  DeviceContext context_;
  FileOpener files_;
  unsigned of_root_ = 0, of_others_ = 0;  // checks under way
  std::uint32_t last_uid_ = 0;
  RateLimit deaths_{5, std::chrono::minutes(1)};  // anybody may cause them
};

}  // namespace bulkhead::supervisor
