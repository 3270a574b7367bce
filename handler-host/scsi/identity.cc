#include "handler-host/scsi/identity.h"

#include <optional>

namespace bulkhead::scsi {
namespace {

std::optional<std::uint8_t> hex_digit(char c) {
  if (c >= '0' && c <= '9') return static_cast<std::uint8_t>(c - '0');
  if (c >= 'a' && c <= 'f') return static_cast<std::uint8_t>(c - 'a' + 10);
  if (c >= 'A' && c <= 'F') return static_cast<std::uint8_t>(c - 'A' + 10);
  return std::nullopt;
}

}  // namespace

std::array<std::uint8_t, 16> naa_designator(std::string_view serial) {
  std::array<std::uint8_t, 16> bytes{0x60, 0x01, 0x40, 0x50};
  std::size_t nibble = 7;  // of the designator: the low one of byte 3 is the first that is free
  for (const char c : serial) {
    if (nibble == bytes.size() * 2) break;
    const auto digit = hex_digit(c);
    if (!digit) continue;
    std::uint8_t& byte = bytes[nibble / 2];
    byte = static_cast<std::uint8_t>(byte | (nibble % 2 == 0 ? *digit << 4 : *digit));
    ++nibble;
  }
  return bytes;
}

}  // namespace bulkhead::scsi
