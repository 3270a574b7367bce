// REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS, REPORT TIMESTAMP (SPC-4, the clauses of these names).
#include <chrono>

#include "handler-host/scsi/commands.h"
#include "handler-host/scsi/response.h"
#include "handler-host/scsi/task.h"

namespace bulkhead::scsi {

// Task management functions never reach us: the kernel's target core performs ABORT TASK and LOGICAL UNIT
// RESET and refuses the others (target_tmr_work), whatever the transport.
Flow report_supported_task_management_functions(Task& task) {
  constexpr std::uint8_t kAts = 0x80;
  constexpr std::uint8_t kLurs = 0x08;
  constexpr unsigned kRepdBit = 7;  // of byte 2
  constexpr std::uint8_t kTimeoutBytes = 12;
  const bool extended = task.cdb().bit(2, kRepdBit);
  Response response;
  response.u8(kAts | kLurs);
  response.u8(0);
  response.u8(0);
  response.u8(extended ? kTimeoutBytes : 0);
  if (extended) response.zeros(kTimeoutBytes);  // TMFTMOV 0: no timeouts are known
  return task.good(response, task.cdb().u32<6>());
}

// The machine's clock: milliseconds since 1970-01-01, UTC. Which SET TIMESTAMP could not change (SCSIP 0 in
// the Control Extension mode page), so there is none.
Flow report_timestamp(Task& task) {
  constexpr std::uint8_t kSetByOtherMethods = 0x03;  // TIMESTAMP ORIGIN
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const auto ms =
      static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(now).count());
  Response response;
  response.u16(10);
  response.u8(kSetByOtherMethods);
  response.u8(0);
  response.u16(static_cast<std::uint16_t>(ms >> 32));
  response.u32(static_cast<std::uint32_t>(ms));
  response.u16(0);
  return task.good(response, task.cdb().u32<6>());
}

}  // namespace bulkhead::scsi
