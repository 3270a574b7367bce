// What a hostile host says to its supervisor, from within a real one: a handler has all that its host has.
// Each lie is told once, by a READ of the block with its number; the next host, given the same READ, answers
// it.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/quantity.h"
#include "proto/channel_abi.h"

namespace bulkhead::test {

enum class Lie : std::uint32_t {
  // In a completion, one field each.
  SlotThatDoesNotExist,
  SlotNotInFlight,
  StaleGeneration,
  ReservedBits,
  UndefinedStatus,
  TooMuchSense,
  SenseWithoutCheckCondition,
  CheckConditionWithoutSense,
  MoreDataThanAsked,
  // In the channel's counters.
  MoreAnswersThanSlots,
  AnsweredTwice,
  // On the control socket.
  UnreadableMessage,
  HelloTwice,
  AnswerToNothing,
  TooLongMessage,
  Descriptors,
  Flood,
  ClosedSocket,
  // Which hurt nobody, and so cost nothing.
  WildSleepWord,
  FloodedStandardError,
  Count,
};

// The channel's memory.
struct SharedMemory {
  const std::byte* requests = nullptr;
  std::byte* completions = nullptr;
};
// Found by looking at every page around `data`, which is a part of it: a host has no /proc to read. `probe`
// is a file that pages may be written to, whose page at kPage is scribbled on.
[[nodiscard]] SharedMemory find_channel(const std::byte* data, int probe);

// Descriptors that may be eventfds: the supervisor sleeps on one. Which of ours it is does not matter, a ring
// too many is no lie.
[[nodiscard]] std::vector<int> doorbells();
void ring(std::span<const int> bells);

// Posts `entry`, and claims to have posted so many.
void complete(const SharedMemory& memory, const channel::CompletionEntry& entry, std::uint32_t claimed = 1);

// The slot in which the READ of this block waits.
[[nodiscard]] channel::CompletionEntry honest_answer(const SharedMemory& memory, std::uint64_t block);

// True: the lie is told, and the READ is not to be answered. False: it is to be answered as usual.
[[nodiscard]] bool tell(Lie lie, std::uint64_t block, const SharedMemory& memory);

}  // namespace bulkhead::test
