// The Logical Block Provisioning log page (0Ch/00h): how much space there is.
// Source: SBC-4, "Logical Block Provisioning log page".
#pragma once

#include "handler-host/api/handler.h"
#include "handler-host/scsi/response.h"
#include "handler-host/scsi/threshold_sets.h"

namespace bulkhead::scsi {

inline constexpr std::uint8_t kLbpLogPage = 0x0c;

// THRESHOLD RESOURCE of a threshold descriptor, and the parameter's code.
inline constexpr std::uint8_t kAvailableResource = 0x01;
inline constexpr std::uint8_t kUsedResource = 0x02;

// Adds the page's parameters, after the header of a log page.
void put_lbp_log_parameters(const ThresholdSets& sets, const handler::Space& space, Response& response);

}  // namespace bulkhead::scsi
