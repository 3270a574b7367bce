// Judges what a host claims to have answered. Pure: a copy of the entry against our own record.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "proto/channel_abi.h"
#include "supervisor/pump/in_flight.h"

namespace bulkhead::supervisor {

// nullopt: honest enough to use. Otherwise the rule that was broken, for the log and LastExit.
[[nodiscard]] inline std::optional<std::string_view> broken_rule(const channel::CompletionEntry& entry,
                                                                 InFlightTable& table) {
  constexpr std::uint8_t kCheckCondition = 0x02;
  if (entry.slot >= table.slots()) return "completion for a slot that does not exist";
  const InFlightCommand& command = table.at(SlotIndex{entry.slot});
  if (command.progress.state != CommandState::Submitted) return "completion for a slot that is not in flight";
  if (entry.generation != command.progress.generation) return "completion with a stale generation";
  if (entry.reserved != 0) return "completion with reserved bits set";
  // SAM-5 5.3.1: GOOD, CHECK CONDITION, CONDITION MET, BUSY, RESERVATION CONFLICT, TASK SET FULL, TASK
  // ABORTED
  switch (entry.scsi_status) {
    case 0x00:
    case kCheckCondition:
    case 0x04:
    case 0x08:
    case 0x18:
    case 0x28:
    case 0x40:
      break;
    default:
      return "completion with a status that SAM does not define";
  }
  if (entry.sense_bytes > channel::kSenseBytes) return "completion with more than 96 sense bytes";
  if (entry.sense_bytes != 0 && entry.scsi_status != kCheckCondition)
    return "completion with sense but no CHECK CONDITION";
  if (entry.sense_bytes == 0 && entry.scsi_status == kCheckCondition) return "CHECK CONDITION without sense";
  if (entry.data_bytes > command.data_bytes) return "completion with more data than the command may move";
  const bool may_read = command.facts.direction == channel::Direction::In ||
                        command.facts.direction == channel::Direction::Both;
  if (entry.data_bytes != 0 && !may_read) return "completion with data for a command that reads none";
  return std::nullopt;
}

}  // namespace bulkhead::supervisor
