// Random commands: half of them nearly right, from what the disk says it supports, so that they get past the
// first check; the others anything. The same seed makes the same commands. Threads: one per object.
#pragma once

#include <cstdint>
#include <random>
#include <span>
#include <vector>

#include "test/random_cdbs/scsi_disk.h"

namespace bulkhead::random_cdbs {

// A command that the disk supports (SPC-5 6.33, REPORT SUPPORTED OPERATION CODES): which bits of its CDB mean
// something. The first byte is the operation code; a service action is in its place.
struct UsageMap {
  std::vector<std::uint8_t> cdb;   // operation code and service action, else zero
  std::vector<std::uint8_t> bits;  // of which bits may be set
};

class CommandMaker {
 public:
  CommandMaker(std::span<const UsageMap> supported, std::uint64_t seed)
      : supported_(supported), random_(seed) {}

  Command next();

 private:
  bool chance(unsigned percent) { return random_() % 100 < percent; }
  std::uint8_t byte() { return static_cast<std::uint8_t>(random_()); }
  std::vector<std::uint8_t> plausible_cdb();
  std::vector<std::uint8_t> any_cdb();
  void shrink_fields(std::vector<std::uint8_t>& cdb, const UsageMap& usage);
  Direction direction_for(std::uint8_t operation_code);
  std::size_t data_bytes();

  std::span<const UsageMap> supported_;
  std::mt19937_64 random_;
};

// What the disk supports, asked of it. Errors: as Disk::execute; PeerBroken for an answer that makes no
// sense.
Result<std::vector<UsageMap>> supported_commands(ScsiDisk& disk);

}  // namespace bulkhead::random_cdbs
