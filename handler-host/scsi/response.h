// Data for the initiator, built whole and then cut to what was asked for: an answer's own length fields never
// depend on the allocation length (SPC-4, "Allocation length").
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "base/endian.h"
#include "base/error.h"

namespace bulkhead::scsi {

// Threads: one. The capacity is above what any table here can fill; running over is a bug of ours.
class Response {
 public:
  void u8(std::uint8_t value) { grow<1>()[0] = value; }
  void u16(std::uint16_t value) { put_be16(grow<2>(), value); }
  void u32(std::uint32_t value) { put_be32(grow<4>(), value); }
  void u64(std::uint64_t value) { put_be64(grow<8>(), value); }
  void zeros(std::size_t count) { (void)grow(count); }
  void bytes(std::span<const std::uint8_t> from) { std::ranges::copy(from, grow(from.size()).begin()); }
  void text(std::string_view from) { std::ranges::copy(from, grow(from.size()).begin()); }
  // Left-aligned, filled with spaces, cut if too long (SPC-4, "ASCII data field requirements").
  void padded(std::string_view from, std::size_t width) {
    auto field = grow(width);
    std::ranges::fill(field, std::uint8_t{' '});
    std::ranges::copy(from.substr(0, width), field.begin());
  }

  // Fields that are known later.
  [[nodiscard]] std::uint8_t& at(std::size_t byte) {
    BULKHEAD_CHECK(byte < size_);
    return bytes_[byte];
  }
  void set_u16(std::size_t byte, std::size_t value) {
    BULKHEAD_CHECK(byte + 2 <= size_ && value <= 0xffff);
    put_be16(std::span<std::uint8_t, 2>(&bytes_[byte], 2), static_cast<std::uint16_t>(value));
  }
  void set_u32(std::size_t byte, std::size_t value) {
    BULKHEAD_CHECK(byte + 4 <= size_ && value <= 0xffffffff);
    put_be32(std::span<std::uint8_t, 4>(&bytes_[byte], 4), static_cast<std::uint32_t>(value));
  }

  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] std::span<const std::uint8_t> view() const { return std::span(bytes_).first(size_); }
  // `count` more bytes, zero.
  [[nodiscard]] std::span<std::uint8_t> grow(std::size_t count) {
    BULKHEAD_CHECK(count <= bytes_.size() - size_);
    size_ += count;
    return std::span(bytes_).subspan(size_ - count, count);
  }

 private:
  template <std::size_t N>
  [[nodiscard]] std::span<std::uint8_t, N> grow() {
    return std::span<std::uint8_t, N>(grow(N));
  }

  std::array<std::uint8_t, 4096> bytes_{};
  std::size_t size_ = 0;
};

}  // namespace bulkhead::scsi
