// The handlers that are installed: what the *.textproto files of the handler folder say
// (proto/handler.proto). They decide which code runs on a LUN's data, so folder, manifest and library must
// belong to root alone. Blocking (reads files), once at the start; the registry is constant from then on.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "proto/handler.pb.h"

namespace bulkhead::supervisor {

struct Handler {
  HandlerManifest manifest;  // of a broken one at least the subtype is set, if need be to the file's name
  std::string library;       // absolute path of the shared object
  std::string
      problem;  // why it can't be used, with the file and, where there is one, the line; empty: usable
};

class HandlerRegistry {
 public:
  HandlerRegistry() = default;
  explicit HandlerRegistry(std::vector<Handler> handlers) : handlers_(std::move(handlers)) {}

  // In the order of their manifests' file names, broken ones included. Of two with one subtype the second is
  // broken.
  [[nodiscard]] const std::vector<Handler>& all() const { return handlers_; }
  // The whole subtype must match. A broken handler is found too (see problem); nullptr: none of that name.
  [[nodiscard]] const Handler* find(std::string_view subtype) const;
  // tcmu-runner compared only as many characters as the device names: "f" or "" found "file". Which handler
  // would it have taken for a subtype that find() does not know? For a message to the administrator.
  [[nodiscard]] const Handler* tcmu_runner_would_take(std::string_view subtype) const;

 private:
  std::vector<Handler> handlers_;
};

// A broken manifest costs its handler only. `owner`: who must own the files, for tests.
// Errors: the folder is missing, unreadable, or not `owner`'s alone.
[[nodiscard]] Result<HandlerRegistry> load_manifests(const std::string& folder, uid_t owner = 0);

// dev_config "SUBTYPE/CONFIG" at its first '/'. Without one, all of it is the subtype.
struct DevConfig {
  std::string_view subtype;
  std::string_view config;
};
[[nodiscard]] DevConfig split_dev_config(std::string_view dev_config);

}  // namespace bulkhead::supervisor
