#include <cerrno>

#include "handler-host/handlers/cfgstring/cfgstring.h"
#include "handler-host/handlers/file/backing.h"
#include "handler-host/handlers/file/config.h"
#include "handler-host/handlers/file/file_device.h"

namespace {

using namespace bulkhead;
using namespace bulkhead::handler;

Result<> check(Services& services, std::string_view text, bool may_open) {
  auto config = parse_file_config(text);
  if (!config) return std::unexpected(std::move(config.error()));
  if (!may_open) return {};
  // Nothing is made for a question.
  auto backing = open_backing(services, *config, 0);
  if (backing || (config->create && backing.error().sys_errno == ENOENT)) return {};
  return std::unexpected(std::move(backing.error()));
}

constexpr Module kModule{.subtype = "file", .open = FileDevice::open, .check = check};

}  // namespace

const bulkhead::handler::Module* bulkhead_handler_module() {
  return &kModule;
}
