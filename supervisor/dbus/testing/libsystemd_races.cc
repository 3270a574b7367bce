// What ThreadSanitizer shall not report: libsystemd's hash tables of all threads share one key, which any of
// them may draw anew (get_hash_key() in its hashmap.c). A test has a bus client and the service in one
// process; the supervisor has one thread that uses the bus. Only the drawing itself is left out: what our own
// code does below libsystemd's calls is judged. Linked into the test program itself, or the run
// time's own function comes first.
// NOLINTNEXTLINE(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp): the run time's name for it
extern "C" const char* __tsan_default_suppressions() {
  return "race_top:getrandom\n";
}
