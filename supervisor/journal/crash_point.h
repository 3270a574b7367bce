// The places where a supervisor may die: before each store to memory that outlives it.
//
// The test builds (--config=asan, --config=tsan) define BULKHEAD_CRASH_POINTS: a test ends the supervisor at
// every one of these places and lets the next one go on (supervisor/pump/crash_points_test.cc). In what is
// installed they are nothing.
#pragma once

namespace bulkhead::supervisor {

#ifdef BULKHEAD_CRASH_POINTS
inline void (*crash_hook)() = nullptr;  // throws to end the supervisor
inline void crash_point() {
  if (crash_hook != nullptr) crash_hook();
}
#else
inline void crash_point() {}
#endif

}  // namespace bulkhead::supervisor
