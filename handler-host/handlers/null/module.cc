#include <chrono>
#include <thread>

#include "handler-host/handlers/null/config.h"
#include "handler-host/handlers/null/null_device.h"

namespace {

using namespace bulkhead;
using namespace bulkhead::handler;

Result<> check(Services&, std::string_view text, bool) {
  auto config = parse_null_config(text);
  if (!config) return std::unexpected(std::move(config.error()));
  std::this_thread::sleep_for(std::chrono::milliseconds(config->check_delay_ms));
  return {};
}

constexpr Module kModule{.subtype = "null", .open = NullDevice::open, .check = check};

}  // namespace

const bulkhead::handler::Module* bulkhead_handler_module() {
  return &kModule;
}
