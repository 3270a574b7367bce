#include "handler-host/scsi/report/mode_pages.h"

#include <algorithm>
#include <iterator>

#include "base/endian.h"
#include "handler-host/scsi/report/lbp_log.h"
#include "handler-host/scsi/threshold_watch.h"
#include "handler-host/scsi/unit.h"

namespace bulkhead::scsi {
namespace {

// SBC-3, "Read-Write Error Recovery mode page": nothing is recovered here, so there is nothing to set.
constexpr std::array<std::uint8_t, 10> kErrorRecovery{};

// SBC-3, "Caching mode page". Byte 0 of the body is byte 2 of the page.
constexpr std::uint8_t kWce = 0x04;
constexpr std::array<std::uint8_t, 18> kCaching{kWce};
constexpr std::array<std::uint8_t, 18> kCachingChangeable{kWce};

void adjust_caching(const Unit& unit, PageControl control, std::span<std::uint8_t> body) {
  const bool on = control == PageControl::Current ? unit.write_cache() : unit.geometry().write_cache;
  if (!on) body[0] = static_cast<std::uint8_t>(body[0] & ~kWce);
}

void take_caching(std::span<const std::uint8_t> body, ModeChanges& changes) {
  changes.write_cache = (body[0] & kWce) != 0;
}

// SPC-4, "Control mode page". GLTSD 1: no log parameters are saved. QUEUE ALGORITHM MODIFIER 1: commands may
// be reordered. TAS 1: what the kernel's target core does by default. BUSY TIMEOUT PERIOD FFFFh: unlimited.
// D_SENSE and SWP can be set.
constexpr std::uint8_t kDSense = 0x04;  // of byte 2
constexpr std::uint8_t kSwp = 0x08;     // of byte 4
constexpr std::array<std::uint8_t, 10> kControl{0x02, 0x10, 0x00, 0x40, 0x00, 0x00, 0xff, 0xff, 0x00, 0x00};
constexpr std::array<std::uint8_t, 10> kControlChangeable{kDSense, 0x00, kSwp};

void adjust_control(const Unit& unit, PageControl control, std::span<std::uint8_t> body) {
  if (control != PageControl::Current) return;
  if (unit.sense_format() == SenseFormat::Descriptor) body[0] = static_cast<std::uint8_t>(body[0] | kDSense);
  if (unit.software_write_protect()) body[2] = static_cast<std::uint8_t>(body[2] | kSwp);
}

void take_control(std::span<const std::uint8_t> body, ModeChanges& changes) {
  changes.descriptor_sense = (body[0] & kDSense) != 0;
  changes.software_write_protect = (body[2] & kSwp) != 0;
}

// SPC-4, "Control Extension mode page". TCMOS 1, SCSIP 0: the timestamp is the machine's clock, which others
// set and SET TIMESTAMP doesn't. IALUAE 0: asymmetric access is the kernel's business. MAXIMUM SENSE DATA
// LENGTH 0: what VPD 86h says is returned.
constexpr std::array<std::uint8_t, 28> kControlExtension{0x04};

// SPC-4, "Informational Exceptions Control mode page". DEXCPT 1: none are reported.
constexpr std::array<std::uint8_t, 10> kInformationalExceptions{0x08};

constexpr std::array<std::uint8_t, 28> kNothing{};

constexpr std::span<const std::uint8_t> nothing(std::size_t bytes) {
  return std::span(kNothing).first(bytes);
}

// SBC-4, "Logical Block Provisioning mode page". SITUA 0: initiators can't be told from each other. Byte 12
// of the body: the one threshold descriptor, ENABLED, a soft threshold (type 0), armed decreasing (0), over
// the available LBA mapping resource.
constexpr std::size_t kThresholdCountByte = 16;
constexpr std::array<std::uint8_t, 20> kProvisioning{0, 0, 0, 0, 0, 0,    0,
                                                     0, 0, 0, 0, 0, 0x80, kAvailableResource};

bool has_thresholds(const Unit& unit) {
  return unit.has_thresholds();
}

void adjust_provisioning(const Unit& unit, PageControl control, std::span<std::uint8_t> body) {
  if (control == PageControl::Changeable) return;
  put_be32(body.subspan(kThresholdCountByte).first<4>(),
           default_threshold(unit.threshold_sets(), unit.parameters().size));
}

constexpr ModePageRow kRows[] = {
    {0x01, 0x00, kErrorRecovery, nothing(kErrorRecovery.size())},
    {0x08, 0x00, kCaching, kCachingChangeable, adjust_caching, take_caching},
    {0x0a, 0x00, kControl, kControlChangeable, adjust_control, take_control},
    {0x0a, 0x01, kControlExtension, nothing(kControlExtension.size())},
    {0x1c, 0x00, kInformationalExceptions, nothing(kInformationalExceptions.size())},
    {0x1c, 0x02, kProvisioning, nothing(kProvisioning.size()), adjust_provisioning, nullptr, has_thresholds},
};
static_assert(sound(kRows));

}  // namespace

std::span<const ModePageRow> disk_mode_pages() {
  return kRows;
}

ModePageBody mode_page_body(const Unit& unit, const ModePageRow& row, PageControl control) {
  ModePageBody body;
  body.size = row.defaults.size();
  std::ranges::copy(control == PageControl::Changeable ? row.changeable : row.defaults, body.bytes.begin());
  if (row.adjust != nullptr) row.adjust(unit, control, std::span(body.bytes).first(body.size));
  return body;
}

}  // namespace bulkhead::scsi
