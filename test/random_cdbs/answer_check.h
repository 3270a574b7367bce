// What no answer to a command may be, whatever the command was. Threads: any.
#pragma once

#include <optional>
#include <string>

#include "test/random_cdbs/scsi_disk.h"

namespace bulkhead::random_cdbs {

// Says what is wrong with the answer, if anything.
std::optional<std::string> wrong_with(const Command& command, const Answer& answer);

// The sense key; 0 without sense data.
std::uint8_t sense_key(const Answer& answer);

// For people and for counting: "GOOD", "ILLEGAL REQUEST", "RESERVATION CONFLICT", ...
std::string outcome_name(const Answer& answer);

}  // namespace bulkhead::random_cdbs
