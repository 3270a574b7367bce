#include "handler-host/scsi/copy/token_lists.h"

#include "base/endian.h"
#include "base/error.h"

namespace bulkhead::scsi {
namespace {

using Bytes = std::span<const std::uint8_t>;

constexpr std::size_t kRangeBytes = 16;
constexpr std::size_t kPopulateHeaderBytes = 16;
constexpr std::size_t kWriteHeaderBytes = 536;

// What both lists have: their length, IMMED, and at the end of the header the length of the descriptors.
// IMMED would have the work go on after the answer; Windows does not ask for it, and its own targets refuse
// it too.
std::optional<Sense> refuse(Bytes list, std::size_t header_bytes, RangeList& ranges) {
  if (list.size() < header_bytes) return illegal_request(asc::kParameterListLengthError);
  const std::size_t data_bytes = std::size_t{2} + be16(list.first<2>());
  if (data_bytes < header_bytes + kRangeBytes) return invalid_parameter(0);
  if (data_bytes > list.size()) return illegal_request(asc::kParameterListLengthError);
  if ((list[2] & 0xfc) != 0) return invalid_parameter(2, 7);
  if ((list[2] & 0x01) != 0) return invalid_parameter(2, 0);
  const auto length_field = static_cast<std::uint16_t>(header_bytes - 2);
  const std::size_t range_bytes = be16(list.subspan(length_field).first<2>());
  if (range_bytes < kRangeBytes || range_bytes % kRangeBytes != 0 || header_bytes + range_bytes > data_bytes)
    return invalid_parameter(length_field);
  if (range_bytes / kRangeBytes > RodTokens::kMaxRanges) {
    Sense sense = illegal_request(asc::kTooManySegmentDescriptors);
    sense.field = FieldPointer{FieldPointer::Where::ParameterList, length_field, std::nullopt};
    return sense;
  }
  ranges = {static_cast<std::uint16_t>(header_bytes), static_cast<std::uint16_t>(range_bytes / kRangeBytes)};
  return std::nullopt;
}

}  // namespace

std::uint16_t range_field(const RangeList& ranges, std::uint16_t index) {
  return static_cast<std::uint16_t>(ranges.at + index * kRangeBytes);
}

Extent range_at(Bytes list, const RangeList& ranges, std::uint16_t index) {
  BULKHEAD_CHECK(index < ranges.count);
  const auto bytes = list.subspan(range_field(ranges, index)).first<kRangeBytes>();
  return {Lba{be64(bytes.first<8>())}, BlockCount{be32(bytes.subspan<8, 4>())}};
}

PopulateTokenList check_populate_token(Bytes list) {
  PopulateTokenList result;
  result.refusal = refuse(list, kPopulateHeaderBytes, result.ranges);
  if (result.refusal) return result;
  const bool type_given = (list[2] & 0x02) != 0;  // RTV
  const std::uint32_t type = be32(list.subspan<8, 4>());
  if (type_given && type != kChangeVulnerableRod && type != kAnyPointInTimeRod)
    result.refusal = invalid_parameter(8);
  const std::uint32_t timeout = be32(list.subspan<4, 4>());
  result.inactivity_timeout = timeout == 0 ? kDefaultInactivityTimeout : timeout;
  if (timeout > kMaxInactivityTimeout) result.refusal = invalid_parameter(4);
  return result;
}

WriteUsingTokenList check_write_using_token(Bytes list) {
  WriteUsingTokenList result;
  result.refusal = refuse(list, kWriteHeaderBytes, result.ranges);
  if (result.refusal) return result;
  result.delete_token = (list[2] & 0x02) != 0;
  result.offset = be64(list.subspan<kOffsetIntoRodByte, 8>());
  return result;
}

}  // namespace bulkhead::scsi
