// What a block of the storm holds: whose it is, where it belongs, which write put it there, and a checksum
// over all of it.
#pragma once

#include <cstdint>
#include <expected>
#include <span>
#include <string>

namespace bulkhead::storm {

// Little-endian, at the start of the block; the rest is filled from the header's numbers.
struct BlockHeader {
  std::uint32_t magic = 0;
  std::uint32_t checksum = 0;  // CRC-32 over the block with this field 0
  std::uint64_t run = 0;       // another number for each run of the program
  std::uint32_t device = 0;
  std::uint32_t writer = 0;  // the slot of the queue that wrote it
  std::uint64_t block = 0;
  std::uint64_t version = 0;

  bool operator==(const BlockHeader&) const = default;
};
static_assert(sizeof(BlockHeader) == 40);

inline constexpr std::size_t kSmallestBlock = 512;

// Fills the block. magic and checksum are set here.
void write_image(std::span<std::byte> block, BlockHeader header);

// The header, if magic and checksum are right. Else what is there instead.
[[nodiscard]] std::expected<BlockHeader, std::string> read_image(std::span<const std::byte> block);

// For people, of any bytes.
[[nodiscard]] std::string describe(const BlockHeader& header);

}  // namespace bulkhead::storm
