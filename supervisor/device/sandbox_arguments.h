// What a handler's manifest and the settings say about the sandbox of its hosts, as arguments of
// tcmu-handler-host.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "proto/handler.pb.h"
#include "supervisor/model/walls.h"

namespace bulkhead::supervisor {

// `library`: absolute path of the handler's shared object; hosts see the folder it is in. Without a wall of
// `required` a host ends before it opens anything; those in `ours`, of its control group, are not for it to
// look for.
[[nodiscard]] std::vector<std::string> sandbox_arguments(const HandlerManifest& manifest,
                                                         const std::string& library,
                                                         std::span<const std::string> required,
                                                         const Walls& ours);

}  // namespace bulkhead::supervisor
