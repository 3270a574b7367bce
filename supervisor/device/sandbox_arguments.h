// What a handler's manifest says about the sandbox of its hosts, as arguments of tcmu-handler-host.
#pragma once

#include <string>
#include <vector>

#include "proto/handler.pb.h"

namespace bulkhead::supervisor {

// `library`: absolute path of the handler's shared object; hosts see the folder it is in.
[[nodiscard]] std::vector<std::string> sandbox_arguments(const HandlerManifest& manifest,
                                                         const std::string& library);

}  // namespace bulkhead::supervisor
