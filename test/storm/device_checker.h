// All blocks of one device: makes what is written, judges what is read, and keeps the history that explains a
// verdict. Threads: one.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "test/storm/block_history.h"
#include "test/storm/block_image.h"
#include "test/storm/block_register.h"

namespace bulkhead::storm {

struct DeviceIdentity {
  std::string path;
  std::uint64_t run = 0;
  std::uint32_t device = 0;
};

struct Extent {
  std::uint64_t first = 0;
  std::uint64_t blocks = 0;
};

class DeviceChecker {
 public:
  DeviceChecker(DeviceIdentity identity, std::uint64_t blocks, std::size_t block_bytes);

  struct Write {
    Extent extent;
    Version version = 0;
    std::uint16_t writer = 0;
  };
  struct Read {
    Extent extent;
    Instant began = 0;
    std::uint16_t writer = 0;
  };
  enum class Outcome : std::uint8_t { Acknowledged, Failed };

  // Fills `data` (the extent's size) with the next version.
  [[nodiscard]] Write begin_write(Extent extent, std::uint16_t writer, std::span<std::byte> data);
  void end_write(const Write& write, Outcome outcome);
  [[nodiscard]] Read begin_read(Extent extent, std::uint16_t writer);
  void fail_read(const Read& read);
  // Whole report if any block is not what it may be: device, block, what was expected, what was found,
  // history.
  [[nodiscard]] std::optional<std::string> end_read(const Read& read, std::span<const std::byte> data);

  [[nodiscard]] std::uint64_t blocks() const { return blocks_.size(); }
  [[nodiscard]] std::size_t block_bytes() const { return block_bytes_; }
  // Reads of a block that was being written, which returned a mixture of old and new: no fault, for nothing
  // promises more.
  [[nodiscard]] std::uint64_t torn_while_written() const { return torn_while_written_; }

 private:
  struct Block {
    BlockRegister checker;
    BlockHistory history;
  };

  [[nodiscard]] std::optional<std::string> judge(std::uint64_t number, const Read& read,
                                                 std::span<const std::byte> data);
  [[nodiscard]] std::string report(std::uint64_t number, const Read& read, const std::string& wrong) const;
  void tick();
  void note(std::uint64_t number, EventKind kind, std::uint16_t writer, Version version);

  DeviceIdentity identity_;
  std::size_t block_bytes_;
  std::vector<Block> blocks_;
  Version version_ = 0;
  Instant clock_ = 0;
  std::int64_t wall_ = 0;  // at clock_
  std::uint64_t torn_while_written_ = 0;
};

}  // namespace bulkhead::storm
