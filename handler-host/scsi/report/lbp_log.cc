#include "handler-host/scsi/report/lbp_log.h"

#include <array>
#include <span>

#include "base/endian.h"
#include "handler-host/scsi/unit.h"

namespace bulkhead::scsi {
namespace {

// SBC-4, the SCOPE field.
enum class Scope : std::uint8_t {
  Dedicated = 0x01,  // to this logical unit
  Shared = 0x02,     // others may take it
};

void put_count(std::uint16_t code, std::uint32_t count, Scope scope, LogParameters& parameters) {
  std::array<std::uint8_t, 8> bytes{};
  put_be32(std::span(bytes).first<4>(), count);
  bytes[4] = static_cast<std::uint8_t>(scope);
  parameters.list(code, bytes);
}

}  // namespace

void put_lbp_log(const Unit& unit, const handler::Space& space, LogParameters& parameters) {
  const ThresholdSets sets = unit.threshold_sets();
  put_count(kAvailableResource, sets.count(space.available), Scope::Shared, parameters);
  put_count(kUsedResource, sets.count_up(space.used), Scope::Dedicated, parameters);
}

}  // namespace bulkhead::scsi
