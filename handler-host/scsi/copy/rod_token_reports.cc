// RECEIVE ROD TOKEN INFORMATION, REPORT ALL ROD TOKENS (SPC-4, the clauses of these names).
#include "handler-host/scsi/commands.h"
#include "handler-host/scsi/copy/copy_results.h"
#include "handler-host/scsi/copy/receive_copy.h"
#include "handler-host/scsi/response.h"
#include "handler-host/scsi/task.h"
#include "handler-host/scsi/unit.h"

namespace bulkhead::scsi {
namespace {

constexpr std::uint16_t kListIdByte = 2;  // of the CDB
constexpr std::uint8_t kUnitsOfBlocks = 0xf1;

bool by_token(const CopyResult& result) {
  return result.service_action == kPopulateToken || result.service_action == kWriteUsingToken;
}

}  // namespace

// The status of the POPULATE TOKEN or WRITE USING TOKEN of this identifier, then the token that it made:
//   0 ROD TOKEN DESCRIPTORS LENGTH | 4 ID FOR CREATING ROD CSCD DESCRIPTOR | 6 ROD TOKEN
// Told as often as it is asked for: Windows asks until it is satisfied.
Flow receive_rod_token_information(Task& task) {
  Unit& unit = task.unit();
  const CopyResult* result = unit.copy_results().find(task.cdb().u32<2>(), unit.now());
  if (result == nullptr || !by_token(*result)) return task.fail(invalid_cdb(kListIdByte));
  Response response;
  put_operation_status(unit, *result, {kUnitsOfBlocks, result->bytes / unit.block_bytes()}, response);
  const bool has_token = result->token.has_value();
  response.u32(has_token ? 2 + kRodTokenBytes : 0);
  if (has_token) {
    response.u16(0);
    response.bytes(*result->token);
  }
  response.set_u32(0, response.size() - 4);
  return task.good(response, task.cdb().u32<10>());
}

// 0 AVAILABLE DATA | 4 reserved | 8 ROD management tokens: the start of each token, which nobody can use.
Flow report_all_rod_tokens(Task& task) {
  const Unit& unit = task.unit();
  Response response;
  response.zeros(8);
  unit.rod_tokens().for_each_valid(unit.now(), [&response](const RodToken& token) {
    response.bytes(std::span(token).first<kManagementTokenBytes>());
  });
  response.set_u32(0, response.size() - 4);
  return task.good(response, task.cdb().u32<10>());
}

}  // namespace bulkhead::scsi
