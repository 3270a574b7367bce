// A command's CDB for a log line: "28 00 00 00 08 00 00 00 08 00". Allocates nothing, as pumps make it.
#pragma once

#include <algorithm>
#include <array>
#include <string_view>

#include "supervisor/pump/in_flight.h"

namespace bulkhead::supervisor {

class CdbText {
 public:
  using Cdb = std::array<std::uint8_t, channel::kCdbBytes>;
  explicit CdbText(const InFlightCommand& command) : CdbText(command.cdb, command.cdb_bytes) {}
  CdbText(const Cdb& cdb, std::size_t bytes) {
    constexpr std::string_view kDigits = "0123456789abcdef";
    for (std::size_t i = 0; i < std::min(bytes, cdb.size()); ++i) {
      if (i > 0) text_[size_++] = ' ';
      text_[size_++] = kDigits[cdb[i] >> 4];
      text_[size_++] = kDigits[cdb[i] & 0xf];
    }
  }
  [[nodiscard]] std::string_view view() const { return {text_.data(), size_}; }

 private:
  std::array<char, 3 * channel::kCdbBytes> text_;
  std::size_t size_ = 0;
};

}  // namespace bulkhead::supervisor
