// SEND DIAGNOSTIC, RECEIVE DIAGNOSTIC RESULTS (SPC-4, the clauses of these names).
#include "base/endian.h"
#include "handler-host/scsi/commands.h"
#include "handler-host/scsi/response.h"
#include "handler-host/scsi/task.h"
#include "handler-host/scsi/unit.h"

namespace bulkhead::scsi {
namespace {

using handler::IoStatus;

constexpr std::uint8_t kSupportedPages = 0x00;  // the only diagnostic page

Flow read_failed(Task& task, IoStatus status) {
  if (status == IoStatus::Busy) return task.fail(status);
  ++task.unit().errors().read.uncorrected;
  task.unit().services().log(handler::LogLevel::Error,
                             "self-test failed: the first or the last block can't be read");
  return task.fail(Sense{SenseKey::HardwareError, asc::kFailedSelfTest});
}

Flow last_block_read(Task& task, IoStatus status) {
  if (status != IoStatus::Ok) return read_failed(task, status);
  return task.flush(answer);  // a failure tells of lost writes, which is more than a failed test
}

Flow first_block_read(Task& task, IoStatus status) {
  if (status != IoStatus::Ok) return read_failed(task, status);
  Unit& unit = task.unit();
  const ByteOffset last = unit.offset_of(Lba{unit.capacity().value - 1});
  return task.read(last, unit.scratch().first(unit.block_bytes()), last_block_read);
}

Flow scratch_borrowed(Task& task, IoStatus) {
  Unit& unit = task.unit();
  return task.read(ByteOffset{0}, unit.scratch().first(unit.block_bytes()), first_block_read);
}

// A diagnostic page: PAGE CODE, a byte of its own, PAGE LENGTH, the page. Asking for the supported ones is an
// empty page 00h; RECEIVE DIAGNOSTIC RESULTS then returns what it always returns here.
Flow take_page(Task& task, std::size_t length) {
  if (!task.cdb().bit(1, 4)) return task.fail(invalid_cdb(1, 4));  // PF 0: a vendor specific list
  if (length > task.data().size()) return task.fail(illegal_request(asc::kInvalidFieldInInformationUnit));
  const auto list = task.list().first(length);
  if (list.size() < 4) return task.fail(illegal_request(asc::kParameterListLengthError));
  if (list[0] != kSupportedPages) return task.fail(invalid_parameter(0));
  if (be16(list.subspan(2).first<2>()) != 0) return task.fail(invalid_parameter(2));
  if (list.size() != 4) return task.fail(illegal_request(asc::kParameterListLengthError));
  return task.good();
}

}  // namespace

// The default self-test: can both ends of the medium be read, and the cache be written back? It touches
// nothing, so DEVOFFL and UNITOFFL allow what is not needed. SELF-TEST CODE is refused by the opcode table:
// such tests keep results in a log page, and there is nothing else to test.
Flow send_diagnostic(Task& task) {
  const Cdb& cdb = task.cdb();
  const bool self_test = cdb.bit(1, 2);
  const std::uint16_t length = cdb.u16<3>();
  if (self_test && length != 0) return task.fail(invalid_cdb(3));
  if (self_test) return task.borrow(task.unit().scratch_lock(), scratch_borrowed);
  return length == 0 ? task.good() : take_page(task, length);
}

Flow receive_diagnostic_results(Task& task) {
  const Cdb& cdb = task.cdb();
  if (cdb[2] != kSupportedPages) return task.fail(invalid_cdb(2));
  Response response;
  response.u8(kSupportedPages);
  response.u8(0);
  response.u16(1);
  response.u8(kSupportedPages);
  return task.good(response, cdb.u16<3>());
}

}  // namespace bulkhead::scsi
