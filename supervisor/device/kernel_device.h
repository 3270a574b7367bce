// The kernel's side of one device, opened: uio descriptor, the one mapping of its region, and what configfs
// says. Blocking: called on a pool thread. Everything is owned by the result, so a caller that gave up
// waiting leaks nothing.
#pragma once

#include <string>

#include "base/error.h"
#include "base/mapping.h"
#include "base/unique_fd.h"
#include "supervisor/configfs/backstore.h"
#include "supervisor/configfs/uio_scan.h"

namespace bulkhead::supervisor {

struct KernelDevice {
  UniqueFd uio;
  Mapping region;
  BackstoreFacts facts;
};

enum class KernelDeviceAge : std::uint8_t {
  Fresh,  // just made, nobody has served it: its ring is as new
  Used,   // somebody may have: commands run that only a reset can end. They get BUSY, the initiators retry,
          // and new ones get BUSY until the device is unblocked
};

// Errors: NotFound when the device vanished meanwhile; Busy when another daemon has it open; TimedOut when
// its node does not appear in `dev_folder` ("/dev").
[[nodiscard]] Result<KernelDevice> open_kernel_device(const SysRoot& root, const std::string& dev_folder,
                                                      const UioDevice& device, KernelDeviceAge age);

// One that an earlier supervisor opened and systemd kept open: as it was left. Errors: NotFound when the
// device behind `uio` is gone.
[[nodiscard]] Result<KernelDevice> adopt_kernel_device(const SysRoot& root, const UioDevice& device,
                                                       UniqueFd uio);

}  // namespace bulkhead::supervisor
