// How a LUN names itself to initiators. These bytes are what existing initiators know their disks by
// (/dev/disk/by-id, multipath, ESXi datastores): they must stay what tcmu-runner and the kernel's target core
// made of the same serial.
#pragma once

#include <array>
#include <cstdint>
#include <span>
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

// A designator of SPC-4, "Designation descriptor", whose association is the logical unit.
enum class CodeSet : std::uint8_t { Binary = 1, Ascii = 2 };
enum class DesignatorType : std::uint8_t { VendorSpecific = 0, T10VendorId = 1, Naa = 3 };

// Is this one of the designators by which VPD 83h makes the LUN known to be itself and no other: the two made
// of its serial? Without a serial it has none.
[[nodiscard]] bool designates(const Identity& identity, CodeSet code_set, DesignatorType type,
                              std::span<const std::uint8_t> designator);

}  // namespace bulkhead::scsi
