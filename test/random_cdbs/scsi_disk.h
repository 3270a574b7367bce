// A SCSI disk that takes any command as it is, by SG_IO. Threads: one per object; a call blocks until the
// command is answered or its deadline is over.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/unique_fd.h"

namespace bulkhead::random_cdbs {

enum class Direction : std::uint8_t { None, FromDisk, ToDisk };

struct Command {
  std::vector<std::uint8_t> cdb;
  Direction direction = Direction::None;
  std::vector<std::uint8_t> data;  // sent, or the room for what comes
};

// As the kernel's SCSI layer has it (scsi/sg.h, sg_io_hdr_t).
struct Answer {
  std::uint8_t status = 0;        // SAM-5 table 39
  std::uint16_t host_status = 0;  // DID_...
  std::vector<std::uint8_t> sense;
  std::int64_t missing = 0;        // bytes of the data that were not transferred
  bool wrote_beyond_room = false;  // more came than there was room for
  std::chrono::milliseconds took{};
};

class ScsiDisk {
 public:
  static Result<ScsiDisk> open(const std::string& path, std::chrono::milliseconds deadline);

  // `command.data` is what came, for one that reads.
  Result<Answer> execute(Command& command);

 private:
  ScsiDisk(UniqueFd fd, std::chrono::milliseconds deadline) : fd_(std::move(fd)), deadline_(deadline) {}
  UniqueFd fd_;
  std::chrono::milliseconds deadline_;
  std::vector<std::uint8_t> room_;
};

}  // namespace bulkhead::random_cdbs
