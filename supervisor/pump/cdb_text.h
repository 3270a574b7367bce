// A command's CDB for a log line: "28 00 00 00 08 00 00 00 08 00". Allocates nothing, as pumps make it.
#pragma once

#include <algorithm>
#include <array>
#include <string_view>

#include "supervisor/pump/in_flight.h"

namespace bulkhead::supervisor {

class CdbText {
 public:
  explicit CdbText(const InFlightCommand& command) {
    constexpr std::string_view kDigits = "0123456789abcdef";
    const std::size_t bytes = std::min<std::size_t>(command.cdb_bytes, command.cdb.size());
    for (std::size_t i = 0; i < bytes; ++i) {
      if (i > 0) text_[size_++] = ' ';
      text_[size_++] = kDigits[command.cdb[i] >> 4];
      text_[size_++] = kDigits[command.cdb[i] & 0xf];
    }
  }
  [[nodiscard]] std::string_view view() const { return {text_.data(), size_}; }

 private:
  std::array<char, 3 * channel::kCdbBytes> text_;
  std::size_t size_ = 0;
};

}  // namespace bulkhead::supervisor
