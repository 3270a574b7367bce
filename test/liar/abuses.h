// What a hostile host does to the machine and to its neighbours, rather than to the truth (lies.h). Each is
// done once, by a READ of the block with its number; the next host, or this one, answers it.
#pragma once

#include <cstdint>
#include <span>

#include "test/liar/lies.h"

namespace bulkhead::test {

enum class Abuse : std::uint32_t {
  TakesMemory,
  StartsThreads,  // as many as it gets; survived
  StartsAProcess,
  Spins,
  NeverAnswers,
  FillsTheChannel,   // each byte of it that a host can write, with garbage
  LeaksDescriptors,  // as many as it gets; survived
  GrowsMemory,       // beyond the sizes that were sealed
  RingsWithoutEnd,
  AnswersEarly,  // and writes on, into what was the command's buffer
  Count,
};

// `buffer`: of the READ, for `block`. True: the READ is not to be answered. False: as usual.
[[nodiscard]] bool commit(Abuse abuse, std::uint64_t block, std::span<std::byte> buffer,
                          const SharedMemory& memory);

}  // namespace bulkhead::test
