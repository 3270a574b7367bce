// READ CAPACITY 10 and 16 (SBC-3, the clauses of these names).
#include <bit>
#include <limits>

#include "handler-host/scsi/commands.h"
#include "handler-host/scsi/response.h"
#include "handler-host/scsi/task.h"
#include "handler-host/scsi/unit.h"

namespace bulkhead::scsi {
namespace {

std::uint64_t last_lba(const Unit& unit) {
  const std::uint64_t blocks = unit.capacity().value;
  return blocks == 0 ? 0 : blocks - 1;
}

// LOGICAL BLOCKS PER PHYSICAL BLOCK EXPONENT: 4 bits.
std::uint8_t physical_exponent(const Unit& unit) {
  const std::uint32_t physical = unit.geometry().physical_block_bytes;
  if (physical <= unit.block_bytes()) return 0;
  return static_cast<std::uint8_t>(std::bit_width(physical / unit.block_bytes()) - 1);
}

}  // namespace

Flow read_capacity_10(Task& task) {
  constexpr std::uint64_t kBeyond = std::numeric_limits<std::uint32_t>::max();  // "use READ CAPACITY(16)"
  Response response;
  response.u32(static_cast<std::uint32_t>(std::min(last_lba(task.unit()), kBeyond)));
  response.u32(task.unit().block_bytes());
  return task.good(response, response.size());
}

Flow read_capacity_16(Task& task) {
  const Unit& unit = task.unit();
  const handler::Geometry& geometry = unit.geometry();
  Response response;
  response.u64(last_lba(unit));
  response.u32(unit.block_bytes());
  response.u8(0);  // no protection information
  response.u8(physical_exponent(unit));
  // LBPME, LBPRZ, LOWEST ALIGNED LOGICAL BLOCK ADDRESS 0
  std::uint16_t provisioning = geometry.can_discard ? 0x8000 : 0;
  if (geometry.can_discard && geometry.discard_zeroes) provisioning |= 0x4000;
  response.u16(provisioning);
  response.zeros(16);
  return task.good(response, task.cdb().u32<10>());
}

}  // namespace bulkhead::scsi
