// TEST UNIT READY, REQUEST SENSE (SPC-4, the clauses of these names).
#include "handler-host/scsi/commands.h"
#include "handler-host/scsi/response.h"
#include "handler-host/scsi/task.h"
#include "handler-host/scsi/unit.h"

namespace bulkhead::scsi {

Flow test_unit_ready(Task& task) {
  return task.good();
}

// Returns as data, with GOOD status: a pending unit attention, and clears it; else how far a sanitize or
// format operation is, or that it has failed; else NO SENSE.
Flow request_sense(Task& task) {
  const SenseFormat format = task.cdb().bit(1, 0) ? SenseFormat::Descriptor : SenseFormat::Fixed;
  const auto attention = task.unit().unit_attention();
  const Sense sense = attention ? *attention : task.unit().medium_job().condition().value_or(Sense{});
  if (!task.aborted()) task.unit().clear_unit_attention();
  std::array<std::uint8_t, channel::kSenseBytes> bytes;
  const std::uint8_t size = encode(sense, format, bytes);
  Response response;
  response.bytes(std::span(bytes).first(size));
  return task.good(response, task.cdb()[4]);
}

}  // namespace bulkhead::scsi
