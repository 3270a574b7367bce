// For every row of a disk's opcode table: how the command is sent so that it succeeds, and how so that it
// fails in the ways in which every command of its kind must be able to. command_cases_test.cc plays all of
// it, and fails for a row that has no case here.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "handler-host/scsi/command_names.h"
#include "handler-host/scsi/testing/test_lun.h"

namespace bulkhead::scsi::testing {

// What the cases are played on: 64 blocks of 512 bytes that can be discarded.
inline constexpr BlockCount kCaseBlocks{64};

struct Sent {
  Bytes cdb;
  Bytes data_out = {};
};

struct CommandCase {
  std::uint8_t opcode;
  std::int16_t service_action = kNoServiceAction;
  std::optional<Sent> before = std::nullopt;  // what must have been done
  Sent good;                                  // succeeds ...
  std::size_t data_in_bytes = 0;              // ... and returns so much
  // Reaches beyond the last block. Needed by every command with an LBA.
  std::optional<Sent> beyond_end = std::nullopt;
  // Less data than the CDB announces. Needed by every command that takes data.
  std::optional<Sent> too_little_data = std::nullopt;
  // Of a failing back end it says COPY ABORTED with the reason behind it, or that SANITIZE or FORMAT failed.
  bool fails_its_own_way = false;
};

[[nodiscard]] std::span<const CommandCase> command_cases();

}  // namespace bulkhead::scsi::testing
