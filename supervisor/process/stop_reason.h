// At SIGTERM: does systemd stop us for good, or is the next supervisor about to start?
//
// It decides what becomes of the hosts. At a stop they flush and end, and later commands are answered BUSY;
// at a restart they go on, and the next supervisor adopts them. A restart taken for a stop costs initiators a
// retry. A stop taken for a restart would leave commands without anybody to answer them, so in doubt it is a
// stop.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <string>

#include "base/error.h"

namespace bulkhead::supervisor {

enum class StopReason : std::uint8_t { Stop, Restart };

inline constexpr std::chrono::milliseconds kStopReasonLimit{2'000};

// The type of the job that systemd has for the unit of process `pid`: "stop", "restart", ...; empty: it has
// none, so somebody else sent the signal. Asks org.freedesktop.systemd1 on the bus at `address`, on a
// connection of its own. BLOCKS up to `limit`: for the BlockingPool. Errors: TimedOut; what the bus says.
[[nodiscard]] Result<std::string> ask_job_type(const std::string& address, pid_t pid,
                                               std::chrono::milliseconds limit = kStopReasonLimit);

// Pure: what follows from that answer.
[[nodiscard]] StopReason stop_reason(const Result<std::string>& job_type);

}  // namespace bulkhead::supervisor
