// The Logical Block Provisioning log page (0Ch/00h): how much space there is.
// Source: SBC-4, "Logical Block Provisioning log page".
#pragma once

#include "handler-host/api/handler.h"
#include "handler-host/scsi/report/log_pages.h"

namespace bulkhead::scsi {

inline constexpr std::uint8_t kLbpLogPage = 0x0c;

// THRESHOLD RESOURCE of a threshold descriptor, and the parameter's code.
inline constexpr std::uint8_t kAvailableResource = 0x01;
inline constexpr std::uint8_t kUsedResource = 0x02;

void put_lbp_log(const Unit& unit, const handler::Space& space, LogParameters& parameters);

}  // namespace bulkhead::scsi
