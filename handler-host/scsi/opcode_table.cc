#include "handler-host/scsi/opcode_table.h"

#include <bit>

namespace bulkhead::scsi {

std::span<const OpcodeRow> rows_of(std::span<const OpcodeRow> table, std::uint8_t opcode) {
  const auto found = std::ranges::equal_range(table, opcode, {}, &OpcodeRow::opcode);
  return std::span(found.begin(), found.end());
}

Lookup look_up(std::span<const OpcodeRow> table, const Cdb& cdb, Capabilities can) {
  // SPC-4 lets the field pointer of this one point at the opcode.
  Sense unknown = illegal_request(asc::kInvalidOpcode);
  unknown.field = FieldPointer{FieldPointer::Where::Cdb, 0, std::nullopt};

  const auto rows = cdb.size() == 0 ? std::span<const OpcodeRow>{} : rows_of(table, cdb.opcode());
  if (rows.empty()) return {nullptr, unknown};
  // The kernel cuts and fills CDBs to the length their group has, so a shorter one is nothing an initiator
  // can send.
  if (cdb.size() < rows.front().cdb_bytes()) return {nullptr, illegal_request(asc::kInvalidFieldInCdb)};
  bool some_available = false;
  for (const OpcodeRow& row : rows) {
    if (!row.available(can)) continue;
    some_available = true;
    if (row.has_service_action() && row.service_action != (cdb[1] & 0x1f)) continue;
    return {&row, {}};
  }
  if (!some_available) return {nullptr, unknown};
  return {nullptr, invalid_cdb(1, 4)};  // the SERVICE ACTION field
}

std::optional<FieldPointer> reserved_bit_set(const OpcodeRow& row, const Cdb& cdb, Capabilities can) {
  for (std::size_t byte = 1; byte < row.cdb_bytes(); ++byte) {
    std::uint8_t allowed = row.usage_of(byte, can);
    if (byte == 1 && row.has_service_action()) allowed |= 0x1f;
    if (byte == 1) allowed |= row.special.ignored_bits;
    const auto wrong = static_cast<std::uint8_t>(cdb[byte] & ~allowed);
    if (wrong == 0) continue;
    const auto highest = static_cast<std::uint8_t>(std::bit_width(wrong) - 1);
    return FieldPointer{FieldPointer::Where::Cdb, static_cast<std::uint16_t>(byte), highest};
  }
  return std::nullopt;
}

}  // namespace bulkhead::scsi
