// How tcmuctl ends. Documented in docs/man/tcmuctl.1; scripts rely on it, so numbers are never given a new
// meaning.
#pragma once

namespace bulkhead::tcmuctl {

enum class ExitCode : int {
  Success = 0,
  Failed = 1,         // the supervisor refused or could not do it, and said why; audit: a wall does not stand
  Usage = 2,          // wrong command line
  NotRunning = 3,     // no message bus, or no supervisor on it
  NotFound = 4,       // no such device or handler
  Ambiguous = 5,      // several devices have that name
  Denied = 6,         // this takes root, or whom polkit allows
  InvalidConfig = 7,  // check-config: the config string is not valid
  Problems = 8,       // doctor found something that keeps devices from being served
  TimedOut = 9,       // no answer in time
};

}  // namespace bulkhead::tcmuctl
