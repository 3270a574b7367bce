// VPD page 8Fh (SPC-4, "Third-party Copy VPD page"): descriptors, ascending, each of
//   0 type | 2 length, a multiple of 4 | 4 what it says
#include <algorithm>

#include "handler-host/scsi/copy/copy_list.h"
#include "handler-host/scsi/copy/copy_results.h"
#include "handler-host/scsi/copy/offload.h"
#include "handler-host/scsi/copy/receive_copy.h"
#include "handler-host/scsi/copy/token_lists.h"
#include "handler-host/scsi/report/vpd_pages.h"
#include "handler-host/scsi/response.h"
#include "handler-host/scsi/unit.h"

namespace bulkhead::scsi {
namespace {

constexpr std::uint8_t kThirdPartyOpcodes[] = {0x83, 0x84};

// One descriptor while it is written.
class Descriptor {
 public:
  Descriptor(Response& response, std::uint16_t type) : response_(response), at_(response.size()) {
    response.u16(type);
    response.u16(0);
  }
  ~Descriptor() {
    const std::size_t said = response_.size() - at_;
    response_.zeros((4 - said % 4) % 4);
    response_.set_u16(at_ + 2, response_.size() - at_ - 4);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

 private:
  Response& response_;
  std::size_t at_;
};

// 0000h, "Block Device ROD Limits" (SBC-4). What Windows looks at.
void block_device_rod_limits(const Unit& unit, Response& response) {
  const Descriptor descriptor(response, 0x0000);
  response.zeros(6);  // vendor specific
  response.u16(RodTokens::kMaxRanges);
  response.u32(kMaxInactivityTimeout);
  response.u32(kDefaultInactivityTimeout);
  response.u64(max_token_transfer(unit));  // MAXIMUM TOKEN TRANSFER SIZE
  response.u64(max_token_transfer(unit));  // OPTIMAL TRANSFER COUNT
}

// 0001h, "Supported Commands": the rows of the opcode table.
void supported_commands(const Unit& unit, Response& response) {
  const Descriptor descriptor(response, 0x0001);
  const std::size_t length_at = response.size();
  response.u8(0);
  for (const std::uint8_t opcode : kThirdPartyOpcodes) {
    const auto rows = rows_of(unit.type().opcodes, opcode);
    response.u8(opcode);
    response.u8(static_cast<std::uint8_t>(rows.size()));
    for (const OpcodeRow& row : rows) response.u8(static_cast<std::uint8_t>(row.service_action));
  }
  response.at(length_at) = static_cast<std::uint8_t>(response.size() - length_at - 1);
}

// 0004h, "Parameter Data".
void parameter_data(Response& response) {
  const Descriptor descriptor(response, 0x0004);
  response.zeros(4);
  response.u16(kMaxCscdDescriptors);
  response.u16(kMaxSegmentDescriptors);
  response.u32(kMaxDescriptorListBytes);
  response.u32(0);  // MAXIMUM INLINE DATA LENGTH
  response.zeros(12);
}

// 0008h, "Supported Descriptors".
void supported_descriptors(Response& response) {
  const Descriptor descriptor(response, 0x0008);
  response.u8(std::size(kCopyDescriptorTypes));
  response.bytes(kCopyDescriptorTypes);
}

// 000Ch, "Supported CSCD Descriptor IDs".
void supported_cscd_ids(Response& response) {
  const Descriptor descriptor(response, 0x000c);
  response.u16(sizeof kThisUnitCscdId);
  response.u16(kThisUnitCscdId);
}

// 0106h, "ROD Token Features", with what SBC-4 has for block devices. Tokens of other copy managers are not
// taken, and a token may be gone the next moment.
void rod_token_features(Response& response) {
  const Descriptor descriptor(response, 0x0106);
  response.zeros(12);        // REMOTE TOKENS 0
  response.u32(0);           // MINIMUM TOKEN LIFETIME
  response.u32(0xffffffff);  // MAXIMUM TOKEN LIFETIME: as long as it is used
  response.u32(kMaxInactivityTimeout);
  response.zeros(18);
  response.u16(48);
  response.u16(0);  // for block devices
  response.u16(44);
  response.u16(0);
  response.u16(0);  // OPTIMAL BLOCK ROD LENGTH GRANULARITY: none
  response.u64(kMaxTokenTransferBytes);
  response.u64(kMaxTokenTransferBytes);  // optimal
  response.u64(kMaxTokenTransferBytes);  // optimal in one segment, to a token
  response.u64(kMaxTokenTransferBytes);  // and from it
  response.zeros(8);
}

// 0108h, "Supported ROD Tokens".
void supported_rod_types(Response& response) {
  constexpr std::uint8_t kTokenIn = 0x02;   // WRITE USING TOKEN takes it
  constexpr std::uint8_t kTokenOut = 0x01;  // POPULATE TOKEN makes it
  const Descriptor descriptor(response, 0x0108);
  response.u16(0);
  response.u16(2 * 64);
  const auto rod_type = [&response](std::uint32_t type, std::uint8_t use) {
    response.u32(type);
    response.u8(use);
    response.zeros(59);
  };
  rod_type(kChangeVulnerableRod, kTokenIn | kTokenOut);
  rod_type(kBlockZeroRod, kTokenIn);
}

// 8001h, "General Copy Operations".
void general_copy_operations(const Unit& unit, Response& response) {
  const Descriptor descriptor(response, 0x8001);
  response.u32(CopyResults::kCapacity);  // TOTAL CONCURRENT COPIES
  response.u32(CopyResults::kCapacity);  // MAXIMUM IDENTIFIED CONCURRENT COPIES
  response.u32(kMaxSegmentBytes);
  response.u8(data_segment_granularity(unit));
  response.u8(0);  // INLINE DATA GRANULARITY
  response.zeros(18);
}

}  // namespace

void third_party_copy(const Unit& unit, const Identity&, Response& response) {
  block_device_rod_limits(unit, response);
  supported_commands(unit, response);
  parameter_data(response);
  supported_descriptors(response);
  supported_cscd_ids(response);
  rod_token_features(response);
  supported_rod_types(response);
  general_copy_operations(unit, response);
}

}  // namespace bulkhead::scsi
