// Handlers that are not what they should be; which one, the build says.
#include "handler-host/api/handler.h"

namespace {

using namespace bulkhead;
using namespace bulkhead::handler;

Result<std::unique_ptr<Device>> open(Services&, const OpenRequest&) {
  return fail(Cause::Backend, 5, "odd");
}
Result<> check(Services&, std::string_view, bool) {
  return {};
}

#if defined(ODD_VERSION)
constexpr Module kModule{.api_version = kApiVersion + 1, .subtype = "odd", .open = open, .check = check};
#elif defined(ODD_SHORT)
constexpr Module kModule{.bytes = 8, .subtype = "odd", .open = open, .check = check};
#elif defined(ODD_EMPTY)
constexpr Module kModule{.subtype = "odd"};
#else
constexpr Module kModule{.subtype = "odd", .open = open, .check = check};
#endif

}  // namespace

const bulkhead::handler::Module* bulkhead_handler_module() {
  return &kModule;
}
