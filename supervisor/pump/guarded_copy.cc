#include "supervisor/pump/guarded_copy.h"

#include <setjmp.h>
#include <signal.h>

#include <atomic>
#include <cstring>

#include "base/error.h"

namespace bulkhead::supervisor {
namespace {

// Where to go on when the copy under way on this thread faults; null outside of a copy.
thread_local sigjmp_buf* volatile t_escape = nullptr;

void on_bus_error(int) {
  if (t_escape != nullptr) siglongjmp(*t_escape, 1);
  // Not ours: let the fault happen again with the default action, so that a core shows where.
  ::signal(SIGBUS, SIG_DFL);
}

template <class Work>
bool guarded(const Work& work) {
  sigjmp_buf escape;
  // Without the signal mask: saving it is a system call, and SA_NODEFER leaves it as it was.
  if (sigsetjmp(escape, 0) != 0) {
    t_escape = nullptr;
    return false;
  }
  t_escape = &escape;
  // Only for the compiler: the copy stays between the two stores.
  std::atomic_signal_fence(std::memory_order_seq_cst);
  work();
  std::atomic_signal_fence(std::memory_order_seq_cst);
  t_escape = nullptr;
  return true;
}

}  // namespace

void install_bus_error_guard() {
  struct sigaction action{};
  action.sa_handler = on_bus_error;
  action.sa_flags = SA_NODEFER;
  BULKHEAD_CHECK(::sigaction(SIGBUS, &action, nullptr) == 0);
}

bool guarded_copy(std::span<std::byte> to, std::span<const std::byte> from) {
  BULKHEAD_CHECK(to.size() >= from.size());
  return guarded([&] { std::memcpy(to.data(), from.data(), from.size()); });
}

bool guarded_zero(std::span<std::byte> to) {
  return guarded([&] { std::memset(to.data(), 0, to.size()); });
}

}  // namespace bulkhead::supervisor
