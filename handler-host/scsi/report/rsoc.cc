// REPORT SUPPORTED OPERATION CODES (SPC-4 6.35), from the opcode table.
#include "handler-host/scsi/commands.h"
#include "handler-host/scsi/device_type.h"
#include "handler-host/scsi/response.h"
#include "handler-host/scsi/task.h"
#include "handler-host/scsi/unit.h"

namespace bulkhead::scsi {
namespace {

enum class Options : std::uint8_t { All = 0, ByOpcode = 1, ByServiceAction = 2, ByEither = 3 };

constexpr unsigned kRctdBit = 7;  // of byte 2

// SERVACTV, CTDP and MLU (SPC-5: 01b, no command affects another logical unit) in the all_commands format.
constexpr std::uint8_t kServactv = 0x01;
constexpr std::uint8_t kCtdp = 0x02;
constexpr std::uint8_t kThisUnitAlone = 0x10;
// SUPPORT, MLU and CTDP in the one_command format.
constexpr std::uint8_t kNotSupported = 0x01;
constexpr std::uint8_t kSupportedAsStandard = 0x03;
constexpr std::uint8_t kOneThisUnitAlone = 0x20;
constexpr std::uint8_t kOneCtdp = 0x80;

// The kernel answers REPORT LUNS itself (spc_emulate_report_luns), whatever its attributes say; so this disk
// has it, though it never gets here. Of PERSISTENT RESERVE the attributes decide, which we don't know. REPORT
// LUNS: SELECT REPORT; allocation length
constexpr OpcodeRow kReportLuns{0xa0,
                                kNoServiceAction,
                                {0xa0, 0x00, 0xff, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff},
                                channel::Direction::In,
                                Access::None,
                                Replay::Safe,
                                nullptr};
static_assert(sound(kReportLuns));

// "Command timeouts descriptor". Nominal 0: how long a command takes is for the back end to say, and it
// doesn't.
void put_timeouts(const OpcodeRow& row, Response& response) {
  response.u16(10);
  response.u16(0);
  response.u32(0);                      // NOMINAL COMMAND PROCESSING TIMEOUT
  response.u32(row.special.timeout_s);  // RECOMMENDED COMMAND TIMEOUT
}

void put_command(const OpcodeRow& row, bool timeouts, Response& response) {
  response.u8(row.opcode);
  response.u8(0);
  response.u16(row.has_service_action() ? static_cast<std::uint16_t>(row.service_action) : std::uint16_t{0});
  response.u8(0);
  response.u8(static_cast<std::uint8_t>(kThisUnitAlone | (timeouts ? kCtdp : 0) |
                                        (row.has_service_action() ? kServactv : 0)));
  response.u16(static_cast<std::uint16_t>(row.cdb_bytes()));
  if (timeouts) put_timeouts(row, response);
}

Flow report_all(Task& task, bool timeouts) {
  const Capabilities can = task.unit().capabilities();
  Response response;
  response.u32(0);
  for (const OpcodeRow& row : task.unit().type().opcodes)
    if (row.available(can)) put_command(row, timeouts, response);
  put_command(kReportLuns, timeouts, response);
  response.set_u32(0, response.size() - 4);
  return task.good(response, task.cdb().u32<6>());
}

Flow report_one(Task& task, const OpcodeRow* row, bool timeouts) {
  Response response;
  response.u8(0);
  if (row == nullptr) {
    response.u8(kNotSupported);
    response.u16(0);
    return task.good(response, task.cdb().u32<6>());
  }
  response.u8(
      static_cast<std::uint8_t>(kSupportedAsStandard | kOneThisUnitAlone | (timeouts ? kOneCtdp : 0)));
  response.u16(static_cast<std::uint16_t>(row->cdb_bytes()));
  for (std::size_t byte = 0; byte < row->cdb_bytes(); ++byte)
    response.u8(row->usage_of(byte, task.unit().capabilities()));
  if (timeouts) put_timeouts(*row, response);
  return task.good(response, task.cdb().u32<6>());
}

// The row asked for, if the device has it.
const OpcodeRow* find(Task& task, std::span<const OpcodeRow> rows, std::uint16_t service_action) {
  for (const OpcodeRow& row : rows) {
    if (!row.available(task.unit().capabilities())) continue;
    const std::uint16_t action =
        row.has_service_action() ? static_cast<std::uint16_t>(row.service_action) : std::uint16_t{0};
    if (action == service_action) return &row;
  }
  return nullptr;
}

}  // namespace

Flow report_supported_opcodes(Task& task) {
  const Cdb& cdb = task.cdb();
  const bool timeouts = cdb.bit(2, kRctdBit);
  const auto options = static_cast<std::uint8_t>(cdb[2] & 0x07);
  const auto rows =
      cdb[3] == kReportLuns.opcode ? std::span(&kReportLuns, 1) : rows_of(task.unit().type().opcodes, cdb[3]);
  const bool with_actions = !rows.empty() && rows.front().has_service_action();
  switch (options) {
    case static_cast<std::uint8_t>(Options::All):
      return report_all(task, timeouts);
    case static_cast<std::uint8_t>(Options::ByOpcode):
      if (with_actions) return task.fail(invalid_cdb(2, 2));
      return report_one(task, find(task, rows, 0), timeouts);
    case static_cast<std::uint8_t>(Options::ByServiceAction):
      if (!rows.empty() && !with_actions) return task.fail(invalid_cdb(2, 2));
      return report_one(task, find(task, rows, cdb.u16<4>()), timeouts);
    case static_cast<std::uint8_t>(Options::ByEither):
      return report_one(task, find(task, rows, cdb.u16<4>()), timeouts);
    default:
      return task.fail(invalid_cdb(2, 2));  // reserved values of REPORTING OPTIONS
  }
}

}  // namespace bulkhead::scsi
