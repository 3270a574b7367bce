// The few commands that the supervisor may do itself by an I/O grant: READ and WRITE (6), (10), (12), (16),
// and SYNCHRONIZE CACHE (10), (16), in their plainest form. All that it ever reads of a CDB beyond
// proto/opcode_facts.h is here.
//
// Source: SBC-3, the clauses of these commands. Pure; any thread. The CDB is hostile.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace bulkhead::supervisor {

struct BlockTransfer {
  bool write = false;
  std::uint64_t lba = 0;
  std::uint32_t blocks = 0;  // above 0

  [[nodiscard]] bool overlaps(const BlockTransfer& other) const {
    return lba >= other.lba ? lba - other.lba < other.blocks : other.lba - lba < blocks;
  }
};

// nullopt: another command, or one that asks for anything special: protection information, FUA, a group, a
// control byte, no blocks at all, a reserved bit. DPO is a hint, and the same as nothing.
[[nodiscard]] std::optional<BlockTransfer> plain_transfer(std::span<const std::uint8_t> cdb);

// SYNCHRONIZE CACHE of the whole medium, which is what Linux and VMware send: nothing but the opcode is set.
[[nodiscard]] bool flushes_all(std::span<const std::uint8_t> cdb);

// What a command that is with the host keeps the supervisor from doing beside it.
enum class Excludes : std::uint8_t {
  Nothing,  // it only looks
  // It may change blocks, or what may be done with them. Or it flushes: should that fail, the host counts
  // what was written by grant before as told of, and what came after it was asked for must not be among that.
  Writes,
  All,  // its change is seen wholly or not at all: WRITE ATOMIC
};
[[nodiscard]] Excludes excluded_beside(std::uint8_t opcode);

}  // namespace bulkhead::supervisor
