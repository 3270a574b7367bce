// A handler's shared object, loaded and judged. Never unloaded: objects of its making live until the process
// ends.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"
#include "handler-host/api/handler.h"

namespace bulkhead::host {

// `path` must be absolute, so that no search path has a say. Errors: NotFound when it can't be loaded,
// BadInput when it is no handler of this API version, or of another subtype; the text names the library and
// the remedy.
[[nodiscard]] Result<const handler::Module*> load_handler(const std::string& path, std::string_view subtype);

}  // namespace bulkhead::host
