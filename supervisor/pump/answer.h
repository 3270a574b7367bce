// The few SCSI answers the supervisor gives by itself, and how it classifies the hosts' for its counters.
// Sense data: fixed format, SPC-4 4.5.3. Pure; any thread.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "supervisor/pump/device_stats.h"

namespace bulkhead::supervisor {

inline constexpr std::uint8_t kStatusGood = 0x00;
inline constexpr std::uint8_t kStatusConditionMet = 0x04;
inline constexpr std::uint8_t kStatusCheckCondition = 0x02;
inline constexpr std::uint8_t kStatusBusy = 0x08;
inline constexpr std::uint8_t kStatusTaskAborted = 0x40;

using FixedSense = std::array<std::uint8_t, 18>;

[[nodiscard]] constexpr FixedSense fixed_sense(std::uint8_t key, std::uint8_t asc, std::uint8_t ascq) {
  FixedSense sense{};
  sense[0] = 0x70;
  sense[2] = key;
  sense[7] = 10;  // bytes that follow
  sense[12] = asc;
  sense[13] = ascq;
  return sense;
}

// HARDWARE ERROR, INTERNAL TARGET FAILURE: a poison command, or a data area that vanished.
inline constexpr FixedSense kInternalTargetFailure = fixed_sense(0x04, 0x44, 0x00);
// ABORTED COMMAND, no more to say: a host died with a command that must not run twice.
inline constexpr FixedSense kAbortedCommand = fixed_sense(0x0b, 0x00, 0x00);
// ILLEGAL REQUEST, INVALID FIELD IN CDB: more data than the channel can ever hold.
inline constexpr FixedSense kTransferTooLong = fixed_sense(0x05, 0x24, 0x00);

// NOT READY, LOGICAL UNIT COMMUNICATION FAILURE (SPC-4 4.5.6 and table F.2): nobody serves the LUN, and its
// commands are not to wait. What the kernel itself says when its timer fires.
inline constexpr FixedSense kCommunicationFailure = fixed_sense(0x02, 0x08, 0x00);

// status is not GOOD (nor CONDITION MET).
[[nodiscard]] AnswerError classify(std::uint8_t status, std::span<const std::uint8_t> sense);

}  // namespace bulkhead::supervisor
