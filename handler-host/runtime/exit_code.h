// How a handler-host ends: what its supervisor sees beside the text on standard error.
#pragma once

#include <string_view>

namespace bulkhead::host {

// Stable numbers: handler-host/README.md and the supervisor's log speak of them.
enum class ExitCode : int {
  Done = 0,             // closed, checked, or the supervisor is gone and everything is flushed
  OpenFailed = 1,       // the backstore could not be opened; the supervisor has been told why
  Usage = 2,            // not started by a supervisor, or with arguments unknown
  LockdownFailed = 3,   // a privilege could not be given up: better no host than one with it
  ProtocolBroken = 4,   // the supervisor sent what it must not
  ChannelUnusable = 5,  // the shared memory is not what Start said
  TimedOut = 6,         // the supervisor said nothing for too long, or commands did not end at close
  CloseFailed = 7,      // the last flush failed; the supervisor has been told
  SystemRefused = 8,    // no memory, no descriptor, ...
};

// "tcmu-handler-host: TEXT" on standard error, then out, without destructors: operations may be under way
// whose memory must stay.
[[noreturn]] void end_process(ExitCode code, std::string_view text);

}  // namespace bulkhead::host
