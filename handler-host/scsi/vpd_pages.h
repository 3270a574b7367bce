// The VPD pages of a disk, as rows of a device type.
#pragma once

#include <span>

#include "handler-host/scsi/device_type.h"

namespace bulkhead::scsi {

[[nodiscard]] std::span<const VpdPageRow> disk_vpd_pages();

}  // namespace bulkhead::scsi
