// Any sequence of CDBs with any data: each is answered once, within its buffer, with sense data that makes
// sense.
//
// Input: shape of the LUN (FuzzLun), then commands: length of the CDB, how the handler's operations end,
// number of data bytes (2 bytes), how many of them are given (2 bytes; the rest are zero), the CDB, those
// data bytes.
#include <cstddef>
#include <cstdint>
#include <vector>

#include "handler-host/scsi/testing/fuzz_lun.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  using bulkhead::scsi::testing::FuzzLun;
  using bulkhead::scsi::testing::Input;
  Input input({bytes, size});
  FuzzLun lun(input.u8());
  for (int commands = 0; !input.empty() && commands < 32; ++commands) {
    const std::uint8_t cdb_bytes = input.u8() % 33;
    const std::uint8_t outcome = input.u8();
    const std::uint16_t data_bytes = input.u16();
    const std::uint16_t given = input.u16();
    const std::vector<std::uint8_t> cdb = input.bytes(cdb_bytes);
    std::vector<std::uint8_t> data = input.bytes(given);
    data.resize(data_bytes);
    lun.run(cdb, data, outcome);
    lun.device.ops.clear();
  }
  return 0;
}
