// Owning the service's well-known name, and what to say when that is refused.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <string>

#include "base/error.h"
#include "supervisor/dbus/bus_loop.h"

namespace bulkhead::supervisor {

// Requests org.kernel.TCMUService1, without queueing and without replacing. Whatever shall be visible as soon
// as the name is must be exported before. Errors: Busy when another process owns it (`what` names its pid,
// command and unit as far as they can be found); Denied when the bus's policy forbids it (`what` names the
// file and the remedy).
[[nodiscard]] boost::asio::awaitable<Result<>> claim_name(BusLoop& loop);

// "pid 123 (tcmu-runner, unit tcmu-runner.service)" from /proc; "pid 123" if that tells no more.
[[nodiscard]] std::string describe_process(std::uint32_t pid);

}  // namespace bulkhead::supervisor
