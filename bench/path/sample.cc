#include "bench/path/sample.h"

#include <algorithm>

namespace bulkhead::bench {

void put_latencies(std::vector<std::uint32_t>& latencies_ns, Sample& sample) {
  std::ranges::sort(latencies_ns);
  sample.commands = latencies_ns.size();
  sample.p50_ns = latencies_ns[latencies_ns.size() / 2];
  sample.p99_ns = latencies_ns[latencies_ns.size() * 99 / 100];
}

}  // namespace bulkhead::bench
