// Opens files for hosts: the one way by which a handler gets at a backing file.
//
// Policy: a path is granted only if the device's own config string names it, whole, tcmu.conf allows it
// (policy_open.h), and it is a regular file or a block device that a LUN may be made of (forbidden_files.h).
// The config string is searched, not parsed: what it means is the handler's business.
// Blocking (a network file system may take its time): called on a pool thread. No state.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/unique_fd.h"
#include "supervisor/configfs/attribute_file.h"
#include "supervisor/model/file_policy.h"

namespace bulkhead::supervisor {

struct FileAsked {
  std::string path;
  bool writable = false;
  std::uint64_t create_bytes = 0;  // above 0: make it with this size if it is not there
};

// Does `config` (dev_config without its subtype) name `path` as a whole? Percent escapes (%2C) in the config
// are undone first. A name begins at the start or after one of "/@=&;,:?" and stops at the end or before one
// of "?&;,@".
[[nodiscard]] bool config_names_path(std::string_view config, std::string_view path);

// Does `config` ask to share its images with other LUNs, by the option lock=off?
[[nodiscard]] bool config_asks_to_share(std::string_view config);

// Errors are fit for an administrator. Denied: the policy; else what the system said. `root`: where /sys is.
[[nodiscard]] Result<UniqueFd> open_for_host(std::string_view config, const FileAsked& asked,
                                             const FilePolicy& policy, const SysRoot& root = {});

}  // namespace bulkhead::supervisor
