// MODE SELECT(6) for tests: the CDB, and the list of the Caching page.
#pragma once

#include "handler-host/scsi/testing/test_lun.h"

namespace bulkhead::scsi::testing {

inline constexpr std::uint8_t kDbd = 0x08;  // of MODE SENSE
inline constexpr std::uint8_t kPf = 0x10;   // of MODE SELECT
inline constexpr std::uint8_t kCachingPage = 0x08;
inline constexpr std::uint8_t kWce = 0x04;

[[nodiscard]] inline Bytes select6(std::size_t bytes, std::uint8_t flags = kPf) {
  return {0x15, flags, 0, 0, static_cast<std::uint8_t>(bytes), 0};
}
// A list of the Caching page alone, with the cache on or off. MODE SELECT(10) has a header of 8 bytes.
[[nodiscard]] inline Bytes caching_list(bool on, std::size_t header_bytes = 4) {
  Bytes list(header_bytes + 20);
  list[header_bytes] = kCachingPage;
  list[header_bytes + 1] = 18;
  list[header_bytes + 2] = on ? kWce : std::uint8_t{0};
  return list;
}
inline Reply select_caching(TestLun& lun, bool on) {
  const Bytes list = caching_list(on);
  return lun.put(select6(list.size()), list);
}

}  // namespace bulkhead::scsi::testing
