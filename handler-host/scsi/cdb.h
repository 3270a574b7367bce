// A CDB, copied out of the channel, and the fields that CDBs of one length have in common.
// Source: SPC-4, "Fixed length CDB formats"; SBC-3, the READ, WRITE, WRITE SAME and SYNCHRONIZE CACHE
// commands.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/endian.h"
#include "base/quantity.h"
#include "proto/channel_abi.h"

namespace bulkhead::scsi {

// At most channel::kCdbBytes of a CDB; what was not sent reads as zero.
class Cdb {
 public:
  Cdb() = default;
  explicit Cdb(std::span<const std::uint8_t> bytes) : size_(std::min(bytes.size(), bytes_.size())) {
    std::ranges::copy(bytes.first(size_), bytes_.begin());
  }

  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] std::uint8_t opcode() const { return bytes_[0]; }
  [[nodiscard]] std::uint8_t operator[](std::size_t byte) const { return bytes_[byte]; }
  [[nodiscard]] bool bit(std::size_t byte, unsigned number) const {
    return (bytes_[byte] >> number & 1) != 0;
  }
  [[nodiscard]] std::span<const std::uint8_t> bytes() const { return std::span(bytes_).first(size_); }

  template <std::size_t At>
  [[nodiscard]] std::uint16_t u16() const {
    return be16(std::span(bytes_).template subspan<At, 2>());
  }
  template <std::size_t At>
  [[nodiscard]] std::uint32_t u24() const {
    return be24(std::span(bytes_).template subspan<At, 3>());
  }
  template <std::size_t At>
  [[nodiscard]] std::uint32_t u32() const {
    return be32(std::span(bytes_).template subspan<At, 4>());
  }
  template <std::size_t At>
  [[nodiscard]] std::uint64_t u64() const {
    return be64(std::span(bytes_).template subspan<At, 8>());
  }

 private:
  std::array<std::uint8_t, channel::kCdbBytes> bytes_{};
  std::size_t size_ = 0;
};

struct Extent {
  Lba first;
  BlockCount count;
};

// First bytes of the two fields, for field pointers.
struct ExtentFields {
  std::uint8_t lba_byte;
  std::uint8_t count_byte;
};

[[nodiscard]] constexpr ExtentFields extent_fields(std::size_t cdb_bytes) {
  switch (cdb_bytes) {
    case 6:
      return {1, 4};
    case 10:
      return {2, 7};
    case 12:
      return {2, 6};
    default:
      return {2, 10};
  }
}

// The LBA and the number of blocks of a CDB that has them, by its length (6, 10, 12, 16). In the 6-byte form,
// and only there, a count of 0 means 256 (SBC-3, READ(6)).
[[nodiscard]] inline Extent extent_of(const Cdb& cdb, std::size_t cdb_bytes) {
  switch (cdb_bytes) {
    case 6:
      return {Lba{cdb.u24<1>() & 0x1fffff}, BlockCount{cdb[4] == 0 ? 256u : cdb[4]}};
    case 10:
      return {Lba{cdb.u32<2>()}, BlockCount{cdb.u16<7>()}};
    case 12:
      return {Lba{cdb.u32<2>()}, BlockCount{cdb.u32<6>()}};
    default:
      return {Lba{cdb.u64<2>()}, BlockCount{cdb.u32<10>()}};
  }
}

}  // namespace bulkhead::scsi
