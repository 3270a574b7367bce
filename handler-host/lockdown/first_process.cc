#include "handler-host/lockdown/first_process.h"

#include <signal.h>
#include <unistd.h>

namespace bulkhead::host {
namespace {

constexpr int kSignals[] = {SIGHUP,  SIGINT,    SIGQUIT, SIGILL,  SIGTRAP, SIGABRT,   SIGBUS,
                            SIGFPE,  SIGUSR1,   SIGSEGV, SIGUSR2, SIGALRM, SIGSTKFLT, SIGTERM,
                            SIGXCPU, SIGVTALRM, SIGPROF, SIGIO,   SIGPWR,  SIGSYS};
constexpr int kStatusOfSignals = 128;

// What faults does so again when this returns. Nothing handles it then (SA_RESETHAND), and a fault the kernel
// does not drop. After a breakpoint, and after what did not fault at all, the program would just go on.
void end(int number, siginfo_t* info, void*) {
  const bool fault =
      info->si_code > 0 && (number == SIGSEGV || number == SIGBUS || number == SIGILL || number == SIGFPE);
  if (!fault) ::_exit(kStatusOfSignals + number);
}

}  // namespace

void die_of_signals() {
  if (::getpid() != 1) return;
  struct sigaction action{};
  action.sa_sigaction = end;
  action.sa_flags = SA_SIGINFO | static_cast<int>(SA_RESETHAND);
  ::sigemptyset(&action.sa_mask);
  for (const int number : kSignals) ::sigaction(number, &action, nullptr);
}

}  // namespace bulkhead::host
