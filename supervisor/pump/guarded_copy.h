// memcpy for the kernel's data area, which can vanish under our feet: a page of it that no command owns any
// more (a ring reset behind our back, the kernel's reclaim) raises SIGBUS. That costs the command, not the
// supervisor.
#pragma once

#include <cstddef>
#include <span>

namespace bulkhead::supervisor {

// Installs the SIGBUS handler. Once, before the first copy; any other SIGBUS still ends the process.
void install_bus_error_guard();

// Both false if a page was not there; how much was done is unknown then. Any thread.
[[nodiscard]] bool guarded_copy(std::span<std::byte> to, std::span<const std::byte> from);
[[nodiscard]] bool guarded_zero(std::span<std::byte> to);

}  // namespace bulkhead::supervisor
