// Any bytes as a CDB. Whatever is taken for a plain transfer is, put together again from what was read, the
// same CDB.
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/error.h"
#include "supervisor/pump/granted_cdb.h"

namespace {

void put(std::span<std::uint8_t> field, std::uint64_t value) {
  for (std::size_t i = field.size(); i-- > 0; value >>= 8) field[i] = static_cast<std::uint8_t>(value);
  BULKHEAD_CHECK(value == 0);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace bulkhead::supervisor;
  const std::span cdb(data, size);
  static_cast<void>(excluded_beside(size == 0 ? 0 : data[0]));
  const auto transfer = plain_transfer(cdb);
  if (flushes_all(cdb)) BULKHEAD_CHECK(!transfer && (data[0] == 0x35 || data[0] == 0x91));
  if (!transfer) return 0;
  std::array<std::uint8_t, 16> again{};
  std::size_t bytes = 0;
  again[0] = cdb[0];
  switch (cdb[0]) {
    case 0x08:
    case 0x0a:
      bytes = 6;
      put(std::span(again).subspan(1, 3), transfer->lba);
      again[4] = static_cast<std::uint8_t>(transfer->blocks);  // 256 is 0
      break;
    case 0x28:
    case 0x2a:
      bytes = 10;
      put(std::span(again).subspan(2, 4), transfer->lba);
      put(std::span(again).subspan(7, 2), transfer->blocks);
      break;
    case 0xa8:
    case 0xaa:
      bytes = 12;
      put(std::span(again).subspan(2, 4), transfer->lba);
      put(std::span(again).subspan(6, 4), transfer->blocks);
      break;
    default:
      BULKHEAD_CHECK(cdb[0] == 0x88 || cdb[0] == 0x8a);
      bytes = 16;
      put(std::span(again).subspan(2, 8), transfer->lba);
      put(std::span(again).subspan(10, 4), transfer->blocks);
      break;
  }
  BULKHEAD_CHECK(transfer->write == (again[0] % 16 == 0x0a));
  for (std::size_t i = 0; i < bytes; ++i)
    BULKHEAD_CHECK(again[i] == cdb[i] || (i == 1 && bytes != 6 && (cdb[1] & ~0x10) == again[1]));
  return 0;
}
