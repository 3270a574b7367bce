#include "test/storm/block_image.h"

#include <fmt/format.h>
#include <zlib.h>

#include <cstring>

#include "base/error.h"

namespace bulkhead::storm {
namespace {

constexpr std::uint32_t kMagic = 0x4d524f54;  // "TORM"

std::uint32_t checksum_of(std::span<const std::byte> block, BlockHeader header) {
  header.checksum = 0;
  uLong sum = ::crc32(0, reinterpret_cast<const Bytef*>(&header), sizeof header);
  std::span<const std::byte> rest = block.subspan(sizeof header);
  sum = ::crc32(sum, reinterpret_cast<const Bytef*>(rest.data()), static_cast<uInt>(rest.size()));
  return static_cast<std::uint32_t>(sum);
}

}  // namespace

void write_image(std::span<std::byte> block, BlockHeader header) {
  BULKHEAD_CHECK(block.size() >= kSmallestBlock && block.size() % 8 == 0);
  header.magic = kMagic;
  // Different in every word from every other version of every block.
  std::uint64_t word = (header.version << 32) ^ (header.block << 8) ^ header.device;
  for (std::size_t at = sizeof header; at < block.size(); at += sizeof word) {
    word += 0x9e3779b97f4a7c15;
    std::memcpy(&block[at], &word, sizeof word);
  }
  header.checksum = checksum_of(block, header);
  std::memcpy(block.data(), &header, sizeof header);
}

std::expected<BlockHeader, std::string> read_image(std::span<const std::byte> block) {
  BULKHEAD_CHECK(block.size() >= kSmallestBlock);
  BlockHeader header;
  std::memcpy(&header, block.data(), sizeof header);
  if (header.magic != kMagic) return std::unexpected("none of our blocks: " + describe(header));
  const std::uint32_t sum = checksum_of(block, header);
  if (sum != header.checksum)
    return std::unexpected(fmt::format("torn or damaged, its checksum is {:08x}: {}", sum, describe(header)));
  return header;
}

std::string describe(const BlockHeader& header) {
  return fmt::format(
      "{{magic {:08x}, checksum {:08x}, run {:016x}, device {}, writer {}, block {}, version {}}}",
      header.magic, header.checksum, header.run, header.device, header.writer, header.block, header.version);
}

}  // namespace bulkhead::storm
