#include "supervisor/pump/granted_cdb.h"

#include <algorithm>

namespace bulkhead::supervisor {
namespace {

constexpr std::uint8_t kDisablePageOut = 0x10;

std::uint64_t big_endian(std::span<const std::uint8_t> bytes) {
  std::uint64_t value = 0;
  for (const std::uint8_t byte : bytes) value = value << 8 | byte;
  return value;
}

// Where the two fields lie, and which bytes must be 0: group number and CONTROL.
std::optional<BlockTransfer> long_form(std::span<const std::uint8_t> cdb, bool write, std::size_t length,
                                       std::size_t lba_bytes, std::size_t count_at, std::size_t count_bytes,
                                       std::size_t group_at) {
  if (cdb.size() < length) return std::nullopt;
  if ((cdb[1] & ~kDisablePageOut) != 0 || cdb[group_at] != 0 || cdb[length - 1] != 0) return std::nullopt;
  const BlockTransfer transfer{
      .write = write,
      .lba = big_endian(cdb.subspan(2, lba_bytes)),
      .blocks = static_cast<std::uint32_t>(big_endian(cdb.subspan(count_at, count_bytes)))};
  if (transfer.blocks == 0) return std::nullopt;
  return transfer;
}

std::optional<BlockTransfer> short_form(std::span<const std::uint8_t> cdb, bool write) {
  constexpr std::size_t kLength = 6;
  constexpr std::uint8_t kLbaBits = 0x1f;  // of byte 1
  if (cdb.size() < kLength || (cdb[1] & ~kLbaBits) != 0 || cdb[kLength - 1] != 0) return std::nullopt;
  // A TRANSFER LENGTH of 0 is 256 blocks.
  return BlockTransfer{
      .write = write, .lba = big_endian(cdb.subspan(1, 3)), .blocks = cdb[4] == 0 ? 256u : cdb[4]};
}

}  // namespace

std::optional<BlockTransfer> plain_transfer(std::span<const std::uint8_t> cdb) {
  if (cdb.empty()) return std::nullopt;
  switch (cdb[0]) {
    case 0x08:
    case 0x0a:
      return short_form(cdb, cdb[0] == 0x0a);
    case 0x28:
    case 0x2a:
      return long_form(cdb, cdb[0] == 0x2a, 10, 4, 7, 2, 6);
    case 0xa8:
    case 0xaa:
      return long_form(cdb, cdb[0] == 0xaa, 12, 4, 6, 4, 10);
    case 0x88:
    case 0x8a:
      return long_form(cdb, cdb[0] == 0x8a, 16, 8, 10, 4, 14);
    default:
      return std::nullopt;
  }
}

bool flushes_all(std::span<const std::uint8_t> cdb) {
  if (cdb.empty()) return false;
  const std::size_t length = cdb[0] == 0x35 ? 10 : cdb[0] == 0x91 ? 16 : 0;
  if (length == 0 || cdb.size() < length) return false;
  return std::ranges::all_of(cdb.subspan(1, length - 1), [](std::uint8_t byte) { return byte == 0; });
}

Excludes excluded_beside(std::uint8_t opcode) {
  switch (opcode) {
    case 0x00:  // TEST UNIT READY
    case 0x03:  // REQUEST SENSE
    case 0x08:  // READ 6/10/12/16
    case 0x28:
    case 0xa8:
    case 0x88:
    case 0x12:  // INQUIRY
    case 0x1a:  // MODE SENSE 6/10
    case 0x5a:
    case 0x25:  // READ CAPACITY 10
    case 0x4d:  // LOG SENSE
    case 0x9e:  // SERVICE ACTION IN 16: READ CAPACITY 16, GET LBA STATUS
    case 0xa0:  // REPORT LUNS
    case 0xa3:  // MAINTENANCE IN
    case 0x34:  // PRE-FETCH 10/16
    case 0x90:
      return Excludes::Nothing;
    case 0x9c:  // WRITE ATOMIC 16
      return Excludes::All;
    default:
      return Excludes::Writes;
  }
}

}  // namespace bulkhead::supervisor
