// CDBs and sense data in words, for logs and for tcmuctl. Stands alone: it knows names and formats, no
// device. Nothing here allocates: an error path may run while memory is short.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace bulkhead::scsi {

// Text of bounded length, by value. Longer text is cut.
class Words {
 public:
  [[nodiscard]] std::string_view view() const { return {text_.data(), size_}; }
  operator std::string_view() const { return view(); }

  void append(std::string_view text);
  template <class... Args>
  void format(const char* pattern, const Args&... args) {
    const std::size_t room = text_.size() - size_;
    size_ +=
        std::min(fmt::format_to_n(text_.data() + size_, room, fmt::runtime(pattern), args...).size, room);
  }

 private:
  std::array<char, 320> text_{};
  std::size_t size_ = 0;
};

// "WRITE(10) LBA 1000, 8 blocks [2a 00 00 00 03 e8 00 00 08 00]". Any bytes will do; none: "empty CDB".
[[nodiscard]] Words describe_cdb(std::span<const std::uint8_t> cdb);

// "ILLEGAL REQUEST, INVALID FIELD IN CDB (5/24/00), CDB byte 1 bit 3". Fixed and descriptor format, current
// and deferred; anything else is shown as bytes.
[[nodiscard]] Words describe_sense(std::span<const std::uint8_t> sense);

}  // namespace bulkhead::scsi
