// A counter in one block, moved on by COMPARE AND WRITE alone. Nobody else writes there, so after each step
// the value is known, or, after an answer that leaves it open (ABORTED COMMAND), it is the old or the new
// one, and the next read says which: for good. A command that is executed twice, or after it was given up, is
// noticed. Threads: one.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "test/storm/block_image.h"

namespace bulkhead::storm {

enum class CawAnswer : std::uint8_t { Done, Miscompare, Open, Refused };

// The block of the disk that holds the counter.
class CounterBlock {
 public:
  virtual ~CounterBlock() = default;
  // false: the operation failed.
  virtual bool write(std::span<const std::byte> data) = 0;
  virtual bool read(std::span<std::byte> data) = 0;
  virtual CawAnswer compare_and_write(std::span<const std::byte> expected,
                                      std::span<const std::byte> data) = 0;
};

struct CawReport {
  std::uint64_t done = 0;      // acknowledged
  std::uint64_t open = 0;      // answered so that nobody knows
  std::uint64_t happened = 0;  // of those
  std::uint64_t errors = 0;    // reads that failed
};

class CawCounter {
 public:
  // `where` is what its block holds besides the value. `disk` must outlive *this.
  CawCounter(CounterBlock& disk, BlockHeader where, std::size_t block_bytes);

  // Text: what is wrong. begin() once, then step() as often as wanted.
  [[nodiscard]] std::optional<std::string> begin();
  [[nodiscard]] std::optional<std::string> step();
  [[nodiscard]] const CawReport& report() const { return report_; }

 private:
  // Reads the block and settles what was left open.
  [[nodiscard]] std::optional<std::string> settle();

  CounterBlock& disk_;
  BlockHeader known_;  // its version is the counter's value, its writer the number of the attempt
  std::optional<BlockHeader> maybe_;  // or this, after an answer that left it open
  std::uint32_t attempt_ = 0;
  std::vector<std::byte> now_, next_;
  bool read_ = false;  // now_ is what the disk holds
  CawReport report_;
};

}  // namespace bulkhead::storm
