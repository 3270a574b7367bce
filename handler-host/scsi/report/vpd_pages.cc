// Vital product data pages of a disk (SPC-4, "Vital product data parameters"; SBC-3, "VPD parameters for
// direct access block devices").
#include "handler-host/scsi/report/vpd_pages.h"

#include <algorithm>

#include "handler-host/scsi/device_type.h"
#include "handler-host/scsi/report/identity.h"
#include "handler-host/scsi/response.h"
#include "handler-host/scsi/unit.h"

namespace bulkhead::scsi {
namespace {

// 00h: the pages of the table.
void supported_pages(const Unit& unit, const Identity&, Response& response) {
  for (const VpdPageRow& row : unit.type().vpd_pages) response.u8(row.page);
}

// 80h. The NUL counts, as it always did here. A LUN without a serial has spaces, as SPC-4 says for "not
// available".
void unit_serial_number(const Unit&, const Identity& identity, Response& response) {
  constexpr std::size_t kLongest = 254;  // the kernel's limit
  if (identity.unit_serial.empty()) {
    response.padded("", 8);
    return;
  }
  response.text(std::string_view(identity.unit_serial).substr(0, kLongest));
  response.u8(0);
}

constexpr std::uint8_t kBinary = 1;  // CODE SET
constexpr std::uint8_t kAscii = 2;
constexpr std::uint8_t kVendorSpecific = 0;  // DESIGNATOR TYPE, association: the logical unit
constexpr std::uint8_t kT10VendorId = 1;
constexpr std::uint8_t kNaa = 3;
constexpr std::size_t kLongestDesignator = 255;

void designator_header(Response& response, std::uint8_t code_set, std::uint8_t type, std::size_t length) {
  response.u8(code_set);
  response.u8(type);
  response.u8(0);
  response.u8(static_cast<std::uint8_t>(length));
}

// Printable ASCII is all that the code set allows; a config string may hold anything.
void printable(Response& response, std::string_view text) {
  for (const char c : text)
    response.u8(c >= 0x20 && c <= 0x7e ? static_cast<std::uint8_t>(c) : std::uint8_t{'?'});
}

// 83h: T10 vendor id with the serial, NAA made of the serial, and the config string. Without a serial the
// first two would be the same for all such LUNs, so they are left out.
void device_identification(const Unit& unit, const Identity& identity, Response& response) {
  if (!identity.unit_serial.empty()) {
    const auto serial = std::string_view(identity.unit_serial).substr(0, kLongestDesignator - 9);
    designator_header(response, kAscii, kT10VendorId, 8 + serial.size() + 1);
    response.padded(vendor_of(identity), 8);
    response.text(serial);
    response.u8(0);

    const auto naa = naa_designator(identity.unit_serial);
    designator_header(response, kBinary, kNaa, naa.size());
    response.bytes(naa);
  }
  const auto config = std::string_view(unit.parameters().config).substr(0, kLongestDesignator - 1);
  designator_header(response, kAscii, kVendorSpecific, config.size() + 1);
  printable(response, config);
  response.u8(0);
}

// 86h, "Extended INQUIRY Data VPD page": what is 0 is not there. The kernel's target core hands every command
// of a TCMU device on as SIMPLE, whatever its task attribute was (target_handle_task_attr), so SIMPSUP alone.
void extended_inquiry(const Unit& unit, const Identity&, Response& response) {
  response.u8(0);                                          // no microcode, no protection information
  response.u8(0x01);                                       // SIMPSUP
  response.u8(unit.geometry().write_cache ? 0x01 : 0x00);  // V_SUP
  response.zeros(6);
  response.u8(channel::kSenseBytes);  // MAXIMUM SUPPORTED SENSE DATA LENGTH: what the kernel passes on
  response.zeros(50);
}

// 87h, "Mode Page Policy VPD page": all pages and subpages are shared by all initiators.
void mode_page_policy(const Unit&, const Identity&, Response& response) {
  response.u8(0x3f);
  response.u8(0xff);
  response.u8(0x00);  // MLUS 0: each logical unit has its own; MODE PAGE POLICY: shared
  response.u8(0);
}

// B0h, "Block Limits VPD page".
void block_limits(const Unit& unit, const Identity&, Response& response) {
  const Limits limits = unit.limits();
  const std::uint32_t physical = std::max(unit.geometry().physical_block_bytes, unit.block_bytes());
  response.u8(0);  // WSNZ 0: WRITE SAME of 0 blocks means all up to the last
  response.u8(static_cast<std::uint8_t>(limits.max_compare_and_write));
  response.u16(
      static_cast<std::uint16_t>(physical / unit.block_bytes()));  // OPTIMAL TRANSFER LENGTH GRANULARITY
  response.u32(limits.max_transfer);
  response.u32(limits.optimal_transfer);
  response.u32(0);  // MAXIMUM PREFETCH LENGTH: no limit
  response.u32(limits.max_unmap);
  response.u32(limits.max_unmap_descriptors);
  response.u32(limits.unmap_granularity);
  // UGAVALID, UNMAP GRANULARITY ALIGNMENT
  response.u32(limits.unmap_alignment ? 0x80000000 | *limits.unmap_alignment : 0);
  response.u64(limits.max_write_same);
  // MAXIMUM ATOMIC TRANSFER LENGTH, ATOMIC ALIGNMENT, ATOMIC TRANSFER LENGTH GRANULARITY: all the same.
  for (int field = 0; field < 3; ++field) response.u32(limits.atomic_write);
  response.zeros(8);  // no atomic boundaries
}

// B1h, "Block Device Characteristics VPD page". Unless the medium is known not to rotate: 0, not reported.
// Nor are product type and form factor: what a LUN is made of, nobody knows. FUAB: FUA and SYNCHRONIZE CACHE
// mean stable storage, as in SBC-3. VBULS: VERIFY reads unmapped blocks like any others.
void block_device_characteristics(const Unit& unit, const Identity&, Response& response) {
  constexpr std::uint8_t kFuab = 0x02;
  constexpr std::uint8_t kVbuls = 0x01;
  response.u16(unit.geometry().solid_state ? 1 : 0);  // MEDIUM ROTATION RATE
  response.u8(0);                                     // PRODUCT TYPE
  // WABEREQ 01b: what SANITIZE BLOCK ERASE has erased can be read. WACEREQ: there is no CRYPTOGRAPHIC ERASE.
  response.u8(unit.geometry().can_discard ? 0x40 : 0x00);  // and NOMINAL FORM FACTOR
  response.u8(kFuab | kVbuls);
  response.zeros(55);
}

// B2h, "Logical Block Provisioning VPD page". Also of a write-protected unit: protection is a state that may
// end (SWP), these are abilities. Thin, never resource provisioned: no back end promises here to have room
// for every block.
void logical_block_provisioning(const Unit& unit, const Identity&, Response& response) {
  const handler::Geometry& geometry = unit.geometry();
  std::uint8_t bits = 0;
  if (geometry.can_discard) bits = 0xe0;                                      // LBPU, LBPWS, LBPWS10
  if (geometry.can_discard && geometry.discard_zeroes) bits |= 1u << 2;       // LBPRZ, 3 bits: 001b
  response.u8(unit.has_thresholds() ? unit.threshold_sets().exponent() : 0);  // THRESHOLD EXPONENT
  response.u8(bits);                                                          // ANC_SUP 0, DP 0
  response.u8(geometry.can_discard ? 0x02 : 0x00);  // PROVISIONING TYPE: thin, or not reported
  response.u8(0);                                   // THRESHOLD PERCENTAGE: no such thresholds
}

// B4h, "Supported Block Lengths and Protection Types VPD page": the block length that the administrator
// chose, without protection information.
void supported_block_lengths(const Unit& unit, const Identity&, Response& response) {
  response.u32(unit.block_bytes());
  response.u8(0);
  response.u8(0x01);  // T0PS
  response.u16(0);
}

// Not here: 88h, SCSI Ports, because TCMU tells of no port; B3h, B5h, B6h and B7h, because there are no
// referrals, no utilization limits, no zones and no streams.
constexpr VpdPageRow kRows[] = {
    {0x00, supported_pages},
    {0x80, unit_serial_number, true},
    {0x83, device_identification, true},
    {0x86, extended_inquiry},
    {0x87, mode_page_policy},
    {0x8f, third_party_copy},
    {0xb0, block_limits},
    {0xb1, block_device_characteristics},
    {0xb2, logical_block_provisioning},
    {0xb4, supported_block_lengths},
};
static_assert(std::ranges::is_sorted(kRows, {}, &VpdPageRow::page));

}  // namespace

std::span<const VpdPageRow> disk_vpd_pages() {
  return kRows;
}

}  // namespace bulkhead::scsi
