// Which TCMU devices does the kernel have now? Read from /sys/class/uio. Blocking; any thread.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/quantity.h"
#include "supervisor/configfs/attribute_file.h"
#include "supervisor/configfs/uio_name.h"

namespace bulkhead::supervisor {

struct UioDevice {
  UioMinor minor;  // N of /dev/uioN; no identity: reused as soon as the device is gone
  UioName name;
  ByteCount map_bytes;  // mailbox, ring and data area together; what mmap must be given
};

struct UioScan {
  std::vector<UioDevice> devices;     // by minor: uio2 before uio10
  std::vector<std::string> problems;  // TCMU devices that can't be served, each with its reason
};

// Devices that vanish meanwhile and devices of other drivers are left out in silence. No uio class at all is
// an empty scan: without the module there are no devices. Errors: the class exists but can't be listed.
[[nodiscard]] Result<UioScan> scan_uio(const SysRoot& root);

// One device. nullopt: it is gone or not TCMU's.
[[nodiscard]] Result<std::optional<UioDevice>> read_uio(const SysRoot& root, UioMinor minor);

}  // namespace bulkhead::supervisor
