#include "base/printable.h"

#include <algorithm>
#include <array>
#include <cstdint>

namespace bulkhead {
namespace {

constexpr std::string_view kCut = "...";

std::uint8_t byte_at(std::string_view text, std::size_t at) {
  return static_cast<std::uint8_t>(text[at]);
}

// Length of the valid UTF-8 character at the front, 0 if there is none (RFC 3629: no overlong form, no
// surrogate, nothing above U+10FFFF).
std::size_t character_length(std::string_view text) {
  const std::uint8_t lead = byte_at(text, 0);
  if (lead < 0x80) return 1;
  const std::size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || text.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i)
    if ((byte_at(text, i) & 0xc0) != 0x80) return 0;
  const std::uint8_t second = byte_at(text, 1);
  const bool overlong = (lead == 0xe0 && second < 0xa0) || (lead == 0xf0 && second < 0x90);
  const bool beyond = (lead == 0xed && second > 0x9f) || (lead == 0xf4 && second > 0x8f);
  return overlong || beyond ? 0 : length;
}

bool is_control(std::string_view character) {
  const std::uint8_t lead = byte_at(character, 0);
  if (character.size() == 1) return lead < 0x20 || lead == 0x7f;
  return lead == 0xc2 && byte_at(character, 1) < 0xa0;  // U+0080..U+009F: terminals obey these too
}

// One character of the input: how much of it, and what stands for it.
struct Piece {
  std::size_t consumed;
  std::array<char, 8> text;  // longest: \xc2\x9b
  std::size_t size;
};

Piece escape(std::string_view bytes) {
  if (bytes == "\n") return {1, {'\\', 'n'}, 2};
  if (bytes == "\t") return {1, {'\\', 't'}, 2};
  constexpr char kDigits[] = "0123456789abcdef";
  Piece piece{bytes.size(), {}, 0};
  for (std::size_t i = 0; i < bytes.size(); ++i)
    for (char c : {'\\', 'x', kDigits[byte_at(bytes, i) >> 4], kDigits[byte_at(bytes, i) & 15]})
      piece.text[piece.size++] = c;
  return piece;
}

Piece next_piece(std::string_view from) {
  const std::size_t length = character_length(from);
  if (length == 0) return escape(from.substr(0, 1));
  const std::string_view character = from.substr(0, length);
  if (is_control(character)) return escape(character);
  Piece piece{length, {}, length};
  std::ranges::copy(character, piece.text.begin());
  return piece;
}

}  // namespace

std::size_t printable_into(std::span<char> to, std::string_view from) {
  std::size_t used = 0;
  std::size_t safe = 0;  // the last end of a character that leaves room for the dots
  while (!from.empty()) {
    const Piece piece = next_piece(from);
    if (used + piece.size > to.size()) {
      const std::size_t dots = std::min(kCut.size(), to.size() - safe);
      std::ranges::copy(kCut.substr(0, dots), to.begin() + static_cast<std::ptrdiff_t>(safe));
      return safe + dots;
    }
    std::copy_n(piece.text.begin(), piece.size, to.begin() + static_cast<std::ptrdiff_t>(used));
    used += piece.size;
    if (used + kCut.size() <= to.size()) safe = used;
    from.remove_prefix(piece.consumed);
  }
  return used;
}

std::string printable(std::string_view from) {
  std::string text;
  text.reserve(from.size());
  while (!from.empty()) {
    const Piece piece = next_piece(from);
    text.append(piece.text.data(), piece.size);
    from.remove_prefix(piece.consumed);
  }
  return text;
}

bool is_printable(std::string_view text) {
  while (!text.empty()) {
    const std::size_t length = character_length(text);
    if (length == 0 || is_control(text.substr(0, length))) return false;
    text.remove_prefix(length);
  }
  return true;
}

}  // namespace bulkhead
