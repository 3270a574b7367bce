#include "handler-host/scsi/lbp_log.h"

namespace bulkhead::scsi {
namespace {

// SBC-4, the SCOPE field.
enum class Scope : std::uint8_t {
  Dedicated = 0x01,  // to this logical unit
  Shared = 0x02,     // others may take it
};

// Binary format list parameter (SPC-5): nothing is saved, nothing is compared.
constexpr std::uint8_t kControlByte = 0x03;
constexpr std::uint8_t kParameterBytes = 8;

void put_count(std::uint16_t code, std::uint32_t count, Scope scope, Response& response) {
  response.u16(code);
  response.u8(kControlByte);
  response.u8(kParameterBytes);
  response.u32(count);
  response.u8(static_cast<std::uint8_t>(scope));
  response.zeros(3);
}

}  // namespace

void put_lbp_log_parameters(const ThresholdSets& sets, const handler::Space& space, Response& response) {
  put_count(kAvailableResource, sets.count(space.available), Scope::Shared, response);
  put_count(kUsedResource, sets.count_up(space.used), Scope::Dedicated, response);
}

}  // namespace bulkhead::scsi
