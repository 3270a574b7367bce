// What the kernel shows of a host that does not answer: /proc, from outside. Blocking; any thread. What can't
// be read is left out.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace bulkhead::supervisor {

// "state D (disk sleep), in io_schedule": of its main thread.
[[nodiscard]] std::string host_state(pid_t pid, const std::string& proc = "/proc");

// A line for each thread and one for each frame of its kernel stack, a bounded number of them.
[[nodiscard]] std::vector<std::string> host_threads(pid_t pid, const std::string& proc = "/proc");

}  // namespace bulkhead::supervisor
