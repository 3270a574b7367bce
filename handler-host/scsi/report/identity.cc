#include "handler-host/scsi/report/identity.h"

#include <algorithm>
#include <cstddef>
#include <optional>

namespace bulkhead::scsi {
namespace {

constexpr std::size_t kVendorBytes = 8;

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

bool designates(const Identity& identity, CodeSet code_set, DesignatorType type,
                std::span<const std::uint8_t> designator) {
  const std::string_view serial = identity.unit_serial;
  if (serial.empty()) return false;
  if (type == DesignatorType::Naa)
    return code_set == CodeSet::Binary && std::ranges::equal(designator, naa_designator(serial));
  if (type != DesignatorType::T10VendorId || code_set != CodeSet::Ascii) return false;
  // Vendor, left-aligned in 8 bytes, the serial and a NUL (vpd_pages.cc: device_identification).
  const std::string_view vendor = vendor_of(identity).substr(0, kVendorBytes);
  if (designator.size() != kVendorBytes + serial.size() + 1 || designator.back() != 0) return false;
  for (std::size_t i = 0; i < kVendorBytes; ++i)
    if (designator[i] != static_cast<std::uint8_t>(i < vendor.size() ? vendor[i] : ' ')) return false;
  const auto rest = designator.subspan(kVendorBytes, serial.size());
  return std::ranges::equal(rest, serial, {}, {}, [](char c) { return static_cast<std::uint8_t>(c); });
}

}  // namespace bulkhead::scsi
