// What one contender did in one round.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "bench/path/process_cost.h"

namespace bulkhead::bench {

struct Sample {
  std::uint64_t commands = 0;
  double seconds = 0;
  double p50_ns = 0;
  double p99_ns = 0;
  ProcessCost kernel;  // the simulation of it, and the initiator; of the floor: its only process
  ProcessCost daemon;
  ProcessCost host;        // the one with the load
  ProcessCost idle_hosts;  // all others
};

struct Contender {
  std::string name;
  std::vector<Sample> rounds;
};

// Sorts `latencies_ns`, which is not empty.
void put_latencies(std::vector<std::uint32_t>& latencies_ns, Sample& sample);

}  // namespace bulkhead::bench
