// POPULATE TOKEN (SBC-4, the clause of this name): a token for what some blocks hold now (rod_tokens.h).
// RECEIVE ROD TOKEN INFORMATION fetches it, by the list identifier.
//
// The blocks are locked while it is made: what was written before is on the medium by then, and what is
// written later revokes it.
#include <sys/random.h>

#include <algorithm>
#include <array>

#include "base/endian.h"
#include "handler-host/scsi/commands.h"
#include "handler-host/scsi/copy/copy_list.h"
#include "handler-host/scsi/copy/offload.h"
#include "handler-host/scsi/medium/extent_check.h"
#include "handler-host/scsi/report/identity.h"
#include "handler-host/scsi/task.h"
#include "handler-host/scsi/unit.h"

namespace bulkhead::scsi {
namespace {

using handler::IoStatus;

std::span<const std::uint8_t> parameter_list(Task& task) {
  return task.list().first(task.cdb().u32<10>());
}

// SPC-4, "ROD token format": 0 ROD TYPE | 6 ROD TOKEN LENGTH | 8 COPY MANAGER ROD TOKEN IDENTIFIER |
// 16 CREATOR LOGICAL UNIT DESCRIPTOR, a CSCD descriptor | 48 NUMBER OF BYTES REPRESENTED (16 bytes) |
// 96 DEVICE TYPE SPECIFIC DATA, as READ CAPACITY(16) has it from BLOCK LENGTH on | 128 the rest.
// The rest starts with a descriptor of the target device, which is nothing a host knows of: it is random, as
// is the identifier. False: there is no randomness to be had.
bool make_token(const Unit& unit, const Identity& identity, std::uint64_t blocks, RodToken& token) {
  token = {};
  const std::span<std::uint8_t, kRodTokenBytes> bytes(token);
  const auto identifier = bytes.subspan<8, 8>();
  const auto rest = bytes.subspan<128>();
  for (const std::span<std::uint8_t> part :
       {std::span<std::uint8_t>(identifier), std::span<std::uint8_t>(rest)})
    if (::getrandom(part.data(), part.size(), 0) != static_cast<ssize_t>(part.size())) return false;
  put_be32(bytes.subspan<0, 4>(), kChangeVulnerableRod);
  put_be16(bytes.subspan<6, 2>(), kRodTokenBytes - 8);
  const auto creator = bytes.subspan<16, kCscdBytes>();
  creator[0] = kIdentificationCscd;
  creator[1] = unit.type().peripheral_type;
  if (!identity.unit_serial.empty()) {
    const auto naa = naa_designator(identity.unit_serial);
    creator[4] = static_cast<std::uint8_t>(CodeSet::Binary);
    creator[5] = static_cast<std::uint8_t>(DesignatorType::Naa);
    creator[7] = static_cast<std::uint8_t>(naa.size());
    std::ranges::copy(naa, creator.begin() + 8);
  }
  put_be32(creator.subspan<28, 4>(), unit.block_bytes());
  put_be64(bytes.subspan<56, 8>(), unit.bytes_of(BlockCount{blocks}).value);
  put_be32(bytes.subspan<96, 4>(), unit.block_bytes());
  return true;
}

// progress: `bytes` is the place of the result.
Flow fail_with(Task& task, const Sense& sense) {
  task.unit().copy_results().end(task.progress.bytes, sense, task.unit().now(), CopyResults::kHeldLong);
  return task.fail(sense);
}

Flow locked(Task& task, IoStatus) {
  Unit& unit = task.unit();
  const auto list = parameter_list(task);
  const PopulateTokenList asked = check_populate_token(list);
  // Again: the device may have shrunk while others had the blocks.
  const CheckedRanges ranges = check_ranges(unit, list, asked.ranges);
  if (ranges.refusal) return fail_with(task, *ranges.refusal);

  std::array<BlockRange, RodTokens::kMaxRanges> blocks{};
  for (std::uint16_t i = 0; i < asked.ranges.count; ++i)
    blocks.at(i) = range_of(range_at(list, asked.ranges, i));
  RodToken token;
  const bool made = make_token(unit, task.identity(), ranges.blocks, token) &&
                    unit.rod_tokens().add(token, std::span(blocks).first(asked.ranges.count),
                                          std::chrono::seconds(asked.inactivity_timeout), unit.now());
  if (!made) return fail_with(task, illegal_request(asc::kInsufficientResourcesForRodToken));
  unit.copy_results().give_token(task.progress.bytes, token);
  unit.copy_results().progress(task.progress.bytes, unit.bytes_of(BlockCount{ranges.blocks}).value, 0);
  unit.copy_results().end(task.progress.bytes, std::nullopt, unit.now(), CopyResults::kHeldLong);
  return task.good();
}

void forget_result(Task& task) {
  task.unit().copy_results().drop(task.progress.bytes);
}

Flow identified(Task& task, IoStatus status) {
  if (status != IoStatus::Ok) return task.fail(status);
  // Again: that took its time.
  if (const auto refusal = task.refusal()) return task.fail(*refusal);
  Unit& unit = task.unit();
  const auto action = static_cast<std::uint8_t>(task.row().service_action);
  const auto result = unit.copy_results().begin(task.cdb().u32<6>(), action, unit.now());
  if (!result) return task.busy();
  task.progress.bytes = *result;
  task.undo = forget_result;
  const auto list = parameter_list(task);
  return task.lock(check_ranges(unit, list, check_populate_token(list).ranges).hull, locked);
}

}  // namespace

Flow populate_token(Task& task) {
  const std::size_t length = task.cdb().u32<10>();
  if (length == 0) return task.good();
  if (length > task.data().size()) return task.fail(illegal_request(asc::kInvalidFieldInInformationUnit));
  const PopulateTokenList asked = check_populate_token(parameter_list(task));
  if (asked.refusal) return task.fail(*asked.refusal);
  const CheckedRanges ranges = check_ranges(task.unit(), parameter_list(task), asked.ranges);
  if (ranges.refusal) return task.fail(*ranges.refusal);
  return task.ask_identity(identified);  // for the token's creator field
}

}  // namespace bulkhead::scsi
