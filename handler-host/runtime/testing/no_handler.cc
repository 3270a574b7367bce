// A shared object that is no handler.
extern "C" int bulkhead_is_not_here() {
  return 0;
}
