// SANITIZE (SBC-4, "SANITIZE command" and "Sanitize operations"): service actions OVERWRITE, BLOCK ERASE and
// EXIT FAILURE MODE. CRYPTOGRAPHIC ERASE changes the key that all of the medium is encrypted with; there is
// no such key here, so there is no such command. What the others do to the medium: medium_job.h.
//
// BLOCK ERASE exists where blocks can be unmapped: it leaves all of them so, reading as VPD B1h (WABEREQ) and
// LBPRZ say.
//
// The parameter list of OVERWRITE:  0 INVERT (bit 7), TEST (6..5), OVERWRITE COUNT (4..0) | 1 reserved |
//                                   2 INITIALIZATION PATTERN LENGTH | 4 INITIALIZATION PATTERN
#include "base/endian.h"
#include "handler-host/scsi/commands.h"
#include "handler-host/scsi/medium/medium_job.h"
#include "handler-host/scsi/task.h"
#include "handler-host/scsi/unit.h"

namespace bulkhead::scsi {
namespace {

using handler::IoStatus;

constexpr unsigned kImmedBit = 7;  // of byte 1
constexpr unsigned kAuseBit = 5;   // of byte 1
constexpr std::size_t kHeaderBytes = 4;
constexpr std::uint8_t kInvert = 0x80;
constexpr std::uint8_t kTest = 0x60;
constexpr std::uint8_t kCount = 0x1f;

Flow over(Task& task, IoStatus status) {
  if (status == IoStatus::Ok) return task.good();
  // Failed; or stopped, because this host is to end: then it is in progress still, and the next one goes on.
  return task.fail(task.unit().medium_job().condition().value());
}

Flow sanitize(Task& task, MediumPlan plan, std::span<const std::uint8_t> pattern) {
  const Cdb& cdb = task.cdb();
  MediumJob& job = task.unit().medium_job();
  plan.purpose = MediumPlan::Purpose::Sanitize;
  plan.unrestricted_exit = cdb.bit(1, kAuseBit);
  // Whoever asked for a restricted completion can rely on it.
  if (job.sanitize_failed() && !job.record().plan.unrestricted_exit && plan.unrestricted_exit)
    return task.fail(invalid_cdb(1, kAuseBit));
  if (!cdb.bit(1, kImmedBit)) return task.run_job(plan, pattern, over);
  job.begin(plan, pattern, nullptr);
  return task.good();
}

std::optional<Sense> refuse_list(std::span<const std::uint8_t> list, std::uint32_t block_bytes) {
  if ((list[0] & kTest) != 0) return invalid_parameter(0, 6);
  if ((list[0] & kCount) == 0) return invalid_parameter(0, 4);
  if (list[1] != 0) return invalid_parameter(1);
  const std::size_t pattern = be16(list.subspan<2, 2>());
  if (pattern == 0 || pattern > block_bytes || pattern > list.size() - kHeaderBytes)
    return invalid_parameter(2);
  return std::nullopt;
}

}  // namespace

Flow sanitize_overwrite(Task& task) {
  const std::uint32_t block_bytes = task.unit().block_bytes();
  const std::size_t length = task.cdb().u16<7>();
  if (length <= kHeaderBytes || length > kHeaderBytes + block_bytes) return task.fail(invalid_cdb(7));
  if (length > task.list().size()) return task.fail(illegal_request(asc::kInvalidFieldInInformationUnit));
  const auto list = task.list().first(length);
  if (const auto refusal = refuse_list(list, block_bytes)) return task.fail(*refusal);
  MediumPlan plan;
  plan.method = MediumPlan::Method::Overwrite;
  plan.passes = list[0] & kCount;
  plan.invert = (list[0] & kInvert) != 0;
  return sanitize(task, plan, list.subspan(kHeaderBytes, be16(list.subspan<2, 2>())));
}

Flow sanitize_block_erase(Task& task) {
  static constexpr std::uint8_t kZero[1] = {0};
  MediumPlan plan;
  plan.method = MediumPlan::Method::Erase;
  return sanitize(task, plan, kZero);
}

// Without a failure there is nothing to exit, which is no error.
Flow sanitize_exit_failure_mode(Task& task) {
  MediumJob& job = task.unit().medium_job();
  if (!job.sanitize_failed()) return task.good();
  if (!job.record().plan.unrestricted_exit) return task.fail(invalid_cdb(1, 4));
  job.clear_failure();
  return task.good();
}

}  // namespace bulkhead::scsi
