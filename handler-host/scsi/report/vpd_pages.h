// The VPD pages of a disk, as rows of a device type.
#pragma once

#include <span>

#include "handler-host/scsi/device_type.h"

namespace bulkhead::scsi {

[[nodiscard]] std::span<const VpdPageRow> disk_vpd_pages();

// 8Fh (third_party_vpd.cc).
void third_party_copy(const Unit& unit, const Identity& identity, Response& response);

}  // namespace bulkhead::scsi
