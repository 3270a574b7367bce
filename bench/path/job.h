// What one run of the benchmark measures.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace bulkhead::bench {

struct Job {
  std::uint32_t block_bytes = 4096;  // of one command; a multiple of 512
  std::uint32_t depth = 1;           // commands under way at once
  unsigned write_percent = 0;        // of the commands; the rest are reads
  std::uint64_t file_bytes = 256ull << 20;
  std::string file;  // on a tmpfs; nobody else's
  std::chrono::milliseconds round{1000};
  unsigned rounds = 5;
  std::string options = "direct=off";      // of handler file
  std::chrono::microseconds busy_poll{0};  // of Bulkhead: busy_poll_usec in tcmu.conf
  bool grants = false;                     // of Bulkhead: io_grants
  unsigned idle_luns = 0;                  // beside the one at work, each with a host of its own
  unsigned workers = 1;  // of the two-thread hand-over; 1 is what tcmu-runner's file handlers ask for
  std::string host_program;
  std::string handler_folder;
  std::uint32_t host_uid = 0;  // above 0: hosts close themselves in, as in service
};

}  // namespace bulkhead::bench
