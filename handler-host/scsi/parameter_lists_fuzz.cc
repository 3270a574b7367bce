// Any parameter list, under a CDB that is right: nothing is read beyond it, a refused list changes nothing,
// and a pointer into it points into it.
//
// Input: shape of the LUN (FuzzLun), which command (the order of cdb_for()), the list. Or in place of a list
// what an earlier host remembered, which is as hostile.
#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/error.h"
#include "handler-host/scsi/testing/fuzz_lun.h"

namespace {

using Bytes = std::vector<std::uint8_t>;

// THIRD-PARTY COPY OUT.
Bytes copy_cdb(std::uint8_t action, std::uint8_t high, std::uint8_t low) {
  return {0x83, action, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, high, low, 0, 0};
}

constexpr std::uint8_t kCommands = 10;

Bytes cdb_for(std::uint8_t which, std::size_t list_bytes) {
  const auto high = static_cast<std::uint8_t>(list_bytes >> 8);
  const auto low = static_cast<std::uint8_t>(list_bytes);
  switch (which) {
    case 0:
      return {0x15, 0x10, 0, 0, low, 0};  // MODE SELECT(6)
    case 1:
      return {0x55, 0x10, 0, 0, 0, 0, 0, high, low, 0};  // MODE SELECT(10)
    case 2:
      return {0x42, 0, 0, 0, 0, 0, 0, high, low, 0};  // UNMAP
    case 3:
      return copy_cdb(0x00, high, low);  // EXTENDED COPY(LID1)
    case 4:
      return copy_cdb(0x01, high, low);  // EXTENDED COPY(LID4)
    case 5:
      return copy_cdb(0x10, high, low);  // POPULATE TOKEN
    case 6:
      return copy_cdb(0x11, high, low);  // WRITE USING TOKEN
    case 7:
      return {0x48, 0x01, 0, 0, 0, 0, 0, high, low, 0};  // SANITIZE OVERWRITE
    case 8:
      return {0x04, 0x10, 0, 0, 0, 0};  // FORMAT UNIT, short header
    default:
      return {0x04, 0x30, 0, 0, 0, 0};  // FORMAT UNIT, long header
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  using bulkhead::scsi::testing::FuzzLun;
  using bulkhead::scsi::testing::Input;
  Input input({bytes, size});
  FuzzLun lun(input.u8());
  const std::uint8_t which = input.u8() % (kCommands + 1);
  const Bytes list = input.bytes(which == 0 ? 255 : 65535);
  if (which == kCommands) {
    lun.unit.restore(list);
    BULKHEAD_CHECK(lun.unit.under_way() == 0);
    lun.run(Bytes(6), {});  // TEST UNIT READY
    return 0;
  }
  const bool cache_before = lun.unit.write_cache();

  const bulkhead::scsi::Reply reply = lun.run(cdb_for(which, list.size()), list);
  if (reply.status == 0) return 0;
  BULKHEAD_CHECK(lun.unit.write_cache() == cache_before);
  BULKHEAD_CHECK(lun.device.ops.empty());
  const bool points_into_list = (reply.sense[15] & 0xc0) == 0x80;
  if (points_into_list) BULKHEAD_CHECK(std::size_t(reply.sense[16] << 8 | reply.sense[17]) < list.size());
  return 0;
}
