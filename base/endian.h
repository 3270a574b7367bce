// Big-endian fields, as SCSI has them. Spans with a fixed extent: a short buffer does not compile.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace bulkhead {

namespace detail {
template <class T>
[[nodiscard]] inline T load_be(const std::uint8_t* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return std::endian::native == std::endian::little ? std::byteswap(value) : value;
}
template <class T>
inline void store_be(std::uint8_t* to, T value) {
  if (std::endian::native == std::endian::little) value = std::byteswap(value);
  std::memcpy(to, &value, sizeof value);
}
}  // namespace detail

[[nodiscard]] inline std::uint16_t be16(std::span<const std::uint8_t, 2> from) {
  return detail::load_be<std::uint16_t>(from.data());
}
[[nodiscard]] inline std::uint32_t be24(std::span<const std::uint8_t, 3> from) {
  return (std::uint32_t{from[0]} << 16) | (std::uint32_t{from[1]} << 8) | from[2];
}
[[nodiscard]] inline std::uint32_t be32(std::span<const std::uint8_t, 4> from) {
  return detail::load_be<std::uint32_t>(from.data());
}
[[nodiscard]] inline std::uint64_t be64(std::span<const std::uint8_t, 8> from) {
  return detail::load_be<std::uint64_t>(from.data());
}

inline void put_be16(std::span<std::uint8_t, 2> to, std::uint16_t value) {
  detail::store_be(to.data(), value);
}
inline void put_be32(std::span<std::uint8_t, 4> to, std::uint32_t value) {
  detail::store_be(to.data(), value);
}
inline void put_be64(std::span<std::uint8_t, 8> to, std::uint64_t value) {
  detail::store_be(to.data(), value);
}

}  // namespace bulkhead
