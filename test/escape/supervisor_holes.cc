// A supervisor that keeps all of root's power after its start, for the same scenario: hosts inherit what it
// gives up, so that this is one of the walls around them.
#include <cap-ng.h>
#include <seccomp.h>

// The linker gives these names (--wrap, see BUILD).
// NOLINTBEGIN(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp)
extern "C" {

int __wrap_seccomp_load(scmp_filter_ctx) {
  return 0;
}
int __wrap_capng_apply(capng_select_t) {
  return 0;
}
}
// NOLINTEND(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp)
