// READ DEFECT DATA 10 and 12 (SBC-3), READ MEDIA SERIAL NUMBER (SPC-4): the clauses of these names.
#include "handler-host/scsi/commands.h"
#include "handler-host/scsi/response.h"
#include "handler-host/scsi/task.h"
#include "handler-host/scsi/unit.h"

namespace bulkhead::scsi {
namespace {

constexpr std::uint8_t kFormat = 0x07;  // DEFECT LIST FORMAT
constexpr std::uint8_t kLastFormat =
    0x05;  // physical sector; the two after it are vendor specific and reserved

Flow serial_known(Task& task, handler::IoStatus status) {
  if (status != handler::IoStatus::Ok) return task.fail(status);
  constexpr std::size_t kLongest = 254;  // the kernel's limit
  const auto serial = std::string_view(task.identity().unit_serial).substr(0, kLongest);
  // Null-terminated and null-padded to a multiple of four; nothing at all if there is none.
  const std::size_t bytes = serial.empty() ? 0 : (serial.size() + 4) / 4 * 4;
  Response response;
  response.u32(static_cast<std::uint32_t>(bytes));
  response.text(serial);
  response.zeros(bytes - serial.size());
  return task.good(response, task.cdb().u32<6>());
}

}  // namespace

// What is below relocates its own defects and tells nobody: both lists are there and empty, in whatever
// format.
Flow read_defect_data(Task& task) {
  const Cdb& cdb = task.cdb();
  const bool twelve = task.row().cdb_bytes() == 12;
  const std::uint8_t byte = twelve ? 1 : 2;
  const std::uint8_t asked =
      cdb[byte];  // REQ_PLIST, REQ_GLIST, DEFECT LIST FORMAT; PLISTV etc. in the answer
  if ((asked & kFormat) > kLastFormat) return task.fail(invalid_cdb(byte, 2));
  if (twelve && cdb.u32<2>() != 0)
    return task.fail(invalid_cdb(2));  // ADDRESS DESCRIPTOR INDEX: beyond the list
  Response response;
  response.u8(0);
  response.u8(asked);
  response.u16(0);  // DEFECT LIST LENGTH; in the long form: GENERATION CODE, which is not kept
  if (twelve) response.u32(0);
  return task.good(response, twelve ? cdb.u32<6>() : cdb.u16<7>());
}

// The medium can't be taken out, so its serial number is the unit's.
Flow read_media_serial_number(Task& task) {
  return task.ask_identity(serial_known);
}

}  // namespace bulkhead::scsi
