// Being the first process of a PID namespace, without being immune to signals.
#pragma once

namespace bulkhead::host {

// The kernel drops every signal but SIGKILL and SIGSTOP that the first process of a namespace does not
// handle; so a host would survive kill, and its own abort(). With this, a signal that somebody sent ends it
// with status 128 + its number (supervisor/spawn/host_process.cc tells that as a death by the signal), and a
// fault ends it by the fault's signal. Does nothing in a process that is no first one. SIGPIPE and SIGXFSZ
// stay as they are.
void die_of_signals();

}  // namespace bulkhead::host
