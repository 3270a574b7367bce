// RECEIVE COPY STATUS(LID1), RECEIVE COPY OPERATING PARAMETERS, RECEIVE COPY FAILURE DETAILS(LID1), RECEIVE
// COPY STATUS(LID4) (SPC-4, the clauses of these names; in SPC-3, RECEIVE COPY RESULTS).
//
// An identifier of which nothing is known: INVALID FIELD IN CDB with a pointer to it. A result is told once;
// that of a copy that failed with one byte of identifier stays until its failure details were told.
#include "handler-host/scsi/copy/receive_copy.h"

#include <array>
#include <bit>
#include <limits>

#include "handler-host/scsi/commands.h"
#include "handler-host/scsi/copy/copy_list.h"
#include "handler-host/scsi/copy/copy_results.h"
#include "handler-host/scsi/response.h"
#include "handler-host/scsi/task.h"
#include "handler-host/scsi/unit.h"

namespace bulkhead::scsi {
namespace {

using State = CopyResult::State;

constexpr std::uint16_t kListIdByte = 2;  // of the CDB
constexpr std::uint8_t kUnitsOfBytes = 0x00;
constexpr std::uint8_t kUnitsOfMebibytes = 0x02;

// COPY MANAGER STATUS, COPY OPERATION STATUS.
std::uint8_t operation_status(State state) {
  switch (state) {
    case State::InProgress:
      return 0x00;
    case State::Completed:
      return 0x01;
    case State::Failed:
      return 0x02;
  }
  return 0x02;
}
// In the longer form, while it is under way: in the foreground, so its own answer is still to come.
constexpr std::uint8_t kInProgressInForeground = 0x11;

std::uint32_t allocation_length(const Task& task) {
  return task.cdb().u32<10>();
}

struct EncodedSense {
  std::array<std::uint8_t, channel::kSenseBytes> bytes{};
  std::uint8_t size = 0;
};
EncodedSense sense_data(const Unit& unit, const CopyResult& result) {
  EncodedSense sense;
  if (result.sense) sense.size = encode(*result.sense, unit.sense_format(), sense.bytes);
  return sense;
}

}  // namespace

// 0 AVAILABLE DATA | 4 RESPONSE TO SERVICE ACTION | 5 COPY OPERATION STATUS | 6 OPERATION COUNTER |
// 8 ESTIMATED STATUS UPDATE DELAY | 12 EXTENDED COPY COMPLETION STATUS | 13 LENGTH OF THE SENSE DATA FIELD |
// 14 SENSE DATA LENGTH | 15 TRANSFER COUNT UNITS | 16 TRANSFER COUNT | 24 SEGMENTS PROCESSED | 26 reserved |
// 32 sense data
void put_operation_status(const Unit& unit, const CopyResult& result, TransferCount count,
                          Response& response) {
  const EncodedSense sense = sense_data(unit, result);
  response.u32(0);
  response.u8(result.service_action);
  response.u8(result.state == State::InProgress ? kInProgressInForeground : operation_status(result.state));
  response.u16(0);
  response.u32(std::numeric_limits<std::uint32_t>::max());  // unknown
  response.u8(
      static_cast<std::uint8_t>(result.state == State::Failed ? Status::CheckCondition : Status::Good));
  response.u8(sense.size);
  response.u8(sense.size);
  response.u8(count.units);
  response.u64(count.value);
  response.u16(result.segments);
  response.zeros(6);
  response.bytes(std::span(sense.bytes).first(sense.size));
}

// 0 AVAILABLE DATA | 4 HDD, COPY MANAGER STATUS | 5 SEGMENTS PROCESSED | 7 TRANSFER COUNT UNITS |
// 8 TRANSFER COUNT
Flow receive_copy_status_lid1(Task& task) {
  Unit& unit = task.unit();
  const CopyResult* result = unit.copy_results().find(task.cdb()[kListIdByte], unit.now());
  if (result == nullptr) return task.fail(invalid_cdb(kListIdByte));
  const bool large = result->bytes > std::numeric_limits<std::uint32_t>::max();
  Response response;
  response.u32(8);
  response.u8(operation_status(result->state));  // HDD 0: no data are held
  response.u16(result->segments);
  response.u8(large ? kUnitsOfMebibytes : kUnitsOfBytes);
  response.u32(static_cast<std::uint32_t>(large ? result->bytes >> 20 : result->bytes));
  if (result->state == State::Completed) unit.copy_results().forget(*result);
  return task.good(response, allocation_length(task));
}

// 0 AVAILABLE DATA | 4 reserved | 56 COPY COMMAND STATUS | 57 reserved | 58 SENSE DATA LENGTH | 60 sense data
Flow receive_copy_failure_details(Task& task) {
  Unit& unit = task.unit();
  const CopyResult* result = unit.copy_results().find(task.cdb()[kListIdByte], unit.now());
  if (result == nullptr || result->state == State::InProgress) return task.fail(invalid_cdb(kListIdByte));
  Response response;
  response.u32(0);
  if (result->state == State::Failed) {
    const EncodedSense sense = sense_data(unit, *result);
    response.zeros(52);
    response.u8(operation_status(result->state));
    response.u8(0);
    response.u16(sense.size);
    response.bytes(std::span(sense.bytes).first(sense.size));
    response.set_u32(0, response.size() - 4);
    unit.copy_results().forget(*result);
  }
  return task.good(response, allocation_length(task));
}

Flow receive_copy_status_lid4(Task& task) {
  Unit& unit = task.unit();
  const CopyResult* result = unit.copy_results().find(task.cdb().u32<2>(), unit.now());
  if (result == nullptr) return task.fail(invalid_cdb(kListIdByte));
  Response response;
  put_operation_status(unit, *result, {kUnitsOfBytes, result->bytes}, response);
  response.set_u32(0, response.size() - 4);
  if (result->state != State::InProgress) unit.copy_results().forget(*result);
  return task.good(response, allocation_length(task));
}

Flow receive_copy_operating_parameters(Task& task) {
  Response response;
  response.u32(0);
  response.u8(0x01);  // SNLID: commands without a list identifier are supported
  response.zeros(3);
  response.u16(kMaxCscdDescriptors);
  response.u16(kMaxSegmentDescriptors);
  response.u32(kMaxDescriptorListBytes);
  response.u32(kMaxSegmentBytes);
  response.u32(0);  // MAXIMUM INLINE DATA LENGTH
  response.u32(0);  // HELD DATA LIMIT
  response.u32(0);  // MAXIMUM STREAM DEVICE TRANSFER SIZE
  response.u16(0);
  response.u16(CopyResults::kCapacity);  // TOTAL CONCURRENT COPIES
  response.u8(CopyResults::kCapacity);   // MAXIMUM CONCURRENT COPIES
  response.u8(data_segment_granularity(task.unit()));
  response.u8(0);  // INLINE DATA GRANULARITY
  response.u8(0);  // HELD DATA GRANULARITY
  response.zeros(3);
  response.u8(std::size(kCopyDescriptorTypes));
  response.bytes(kCopyDescriptorTypes);
  response.set_u32(0, response.size() - 4);
  return task.good(response, allocation_length(task));
}

std::uint8_t data_segment_granularity(const Unit& unit) {
  return static_cast<std::uint8_t>(std::countr_zero(unit.block_bytes()));
}

}  // namespace bulkhead::scsi
