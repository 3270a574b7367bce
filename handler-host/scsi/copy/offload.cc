#include "handler-host/scsi/copy/offload.h"

#include "handler-host/scsi/medium/extent_check.h"
#include "handler-host/scsi/unit.h"

namespace bulkhead::scsi {

std::uint64_t max_token_transfer(const Unit& unit) {
  return kMaxTokenTransferBytes / unit.block_bytes();
}

CheckedRanges check_ranges(const Unit& unit, std::span<const std::uint8_t> list, const RangeList& ranges) {
  CheckedRanges result;
  const auto refuse = [](const Sense& sense) { return CheckedRanges{0, {}, sense}; };
  for (std::uint16_t i = 0; i < ranges.count; ++i) {
    const std::uint16_t field = range_field(ranges, i);
    const Extent extent = range_at(list, ranges, i);
    if (!unit.contains(extent)) {
      Sense sense = illegal_request(asc::kLbaOutOfRange);
      sense.field = FieldPointer{FieldPointer::Where::ParameterList, field, std::nullopt};
      return refuse(sense);
    }
    const BlockRange blocks = range_of(extent);
    for (std::uint16_t before = 0; before < i; ++before)
      if (blocks.overlaps(range_of(range_at(list, ranges, before)))) return refuse(invalid_parameter(field));
    result.blocks += extent.count.value;
    if (result.blocks > max_token_transfer(unit))
      return refuse(invalid_parameter(static_cast<std::uint16_t>(field + 8)));
    result.hull = enclosing(result.hull, blocks);
  }
  return result;
}

}  // namespace bulkhead::scsi
