// What no LUN may be made of, whatever tcmu.conf allows: files by which the kernel shows or takes settings
// (/proc, /sys and what is mounted there), and disks of this machine that are LUNs of TCMU themselves, which
// would wait for each other. Told are loopback disks, their partitions, and what device mapper and md make of
// them; what comes back by the network, or lies in a file system upon one, is not. Blocking; any thread; no
// state.
#pragma once

#include <string>

#include "base/error.h"
#include "base/unique_fd.h"
#include "supervisor/configfs/attribute_file.h"

namespace bulkhead::supervisor {

// `looked`: the file, opened with O_PATH; a regular one or a block device. `path`: for the error.
[[nodiscard]] Result<> refuse_forbidden(const UniqueFd& looked, const std::string& path, const SysRoot& root);

// Is the block device `major`:`minor` a loopback disk of a TCMU device, or made of one?
[[nodiscard]] bool lies_on_tcmu_loopback(unsigned major, unsigned minor, const SysRoot& root);

}  // namespace bulkhead::supervisor
