// The counter's block on a SCSI disk: COMPARE AND WRITE (SBC-4 5.3) by SG_IO, reads and the first write as
// usual. Threads: one; calls block until the command is answered.
#pragma once

#include <memory>
#include <string>

#include "base/error.h"
#include "base/unique_fd.h"
#include "test/storm/caw_counter.h"

namespace bulkhead::storm {

class ScsiCounterBlock : public CounterBlock {
 public:
  // The block is the first one at or behind `byte`.
  static Result<std::unique_ptr<ScsiCounterBlock>> open(const std::string& path, std::uint64_t byte);
  ~ScsiCounterBlock() override;
  ScsiCounterBlock(const ScsiCounterBlock&) = delete;
  ScsiCounterBlock& operator=(const ScsiCounterBlock&) = delete;

  bool write(std::span<const std::byte> data) override;
  bool read(std::span<std::byte> data) override;
  CawAnswer compare_and_write(std::span<const std::byte> expected, std::span<const std::byte> data) override;

  [[nodiscard]] std::size_t block_bytes() const { return block_bytes_; }
  [[nodiscard]] std::uint64_t lba() const { return lba_; }
  // What the last answer was that is not just "done", for people.
  [[nodiscard]] const std::string& last_answer() const { return last_answer_; }

 private:
  ScsiCounterBlock(UniqueFd fd, std::size_t block_bytes, std::uint64_t lba);

  UniqueFd fd_;
  std::size_t block_bytes_;
  std::uint64_t lba_;
  std::byte* buffer_;  // aligned, two blocks
  std::string last_answer_;
};

}  // namespace bulkhead::storm
