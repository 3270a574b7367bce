// How a LUN names itself to initiators. These bytes are what existing initiators know their disks by
// (/dev/disk/by-id, multipath, ESXi datastores): they must stay what tcmu-runner and the kernel's target core
// made of the same serial.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "handler-host/scsi/logical_unit.h"

namespace bulkhead::scsi {

inline constexpr std::string_view kVendor = "LIO-ORG";
inline constexpr std::string_view kRevision = "0002";

[[nodiscard]] inline std::string_view vendor_of(const Identity& identity) {
  return identity.vendor.empty() ? kVendor : std::string_view(identity.vendor);
}

// NAA IEEE Registered Extended designator (SPC-4, type 6): NAA 6, IEEE company id 001405h, then the first 25
// hexadecimal digits of the serial, a digit a nibble; other characters are skipped, missing digits are zero.
[[nodiscard]] std::array<std::uint8_t, 16> naa_designator(std::string_view serial);

}  // namespace bulkhead::scsi
