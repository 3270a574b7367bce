#include "tcmuctl/text_table.h"

#include <locale.h>
#include <wchar.h>

#include <algorithm>

#include "base/error.h"
#include "base/printable.h"

namespace bulkhead::tcmuctl {
namespace {

constexpr std::size_t kGap = 2;
constexpr std::size_t kLeastLastColumn = 8;

// wcwidth() knows the tables of the locale only; C.UTF-8 is always there and the user's may be C.
class Utf8Locale {
 public:
  Utf8Locale() : previous_(::uselocale(utf8())) {}
  ~Utf8Locale() { ::uselocale(previous_); }
  Utf8Locale(const Utf8Locale&) = delete;
  Utf8Locale& operator=(const Utf8Locale&) = delete;

 private:
  static locale_t utf8() {
    static locale_t made = ::newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr);
    return made;
  }
  locale_t previous_;
};

struct Glyph {
  std::size_t bytes;
  std::size_t columns;
};

Glyph first_glyph(std::string_view text) {
  wchar_t character = 0;
  mbstate_t state{};
  std::size_t bytes = ::mbrtowc(&character, text.data(), text.size(), &state);
  if (bytes == 0 || bytes > text.size()) return {1, 1};
  int columns = ::wcwidth(character);
  return {bytes, static_cast<std::size_t>(std::max(columns, 0))};
}

std::string pad(const std::string& text, std::size_t width, Align align) {
  std::size_t used = screen_width(text);
  std::string blanks(width > used ? width - used : 0, ' ');
  return align == Align::Left ? text + blanks : blanks + text;
}

const char* escape(Color color) {
  switch (color) {
    case Color::None:
      return "";
    case Color::Green:
      return "\033[32m";
    case Color::Yellow:
      return "\033[33m";
    case Color::Red:
      return "\033[31m";
    case Color::Bold:
      return "\033[1m";
  }
  return "";
}

std::vector<std::size_t> column_widths(const std::vector<std::vector<Cell>>& rows, std::size_t width) {
  std::vector<std::size_t> widths(rows.front().size(), 0);
  for (const auto& row : rows)
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], screen_width(row[i].text));
  if (width == 0) return widths;
  std::size_t before_last = 0;
  for (std::size_t i = 0; i + 1 < widths.size(); ++i) before_last += widths[i] + kGap;
  std::size_t left = width > before_last ? width - before_last : 0;
  widths.back() = std::min(widths.back(), std::max(left, kLeastLastColumn));
  return widths;
}

}  // namespace

std::size_t screen_width(std::string_view text) {
  Utf8Locale utf8;
  std::size_t columns = 0;
  while (!text.empty()) {
    Glyph glyph = first_glyph(text);
    columns += glyph.columns;
    text.remove_prefix(glyph.bytes);
  }
  return columns;
}

std::string shorten(std::string_view text, std::size_t width) {
  if (screen_width(text) <= width) return std::string(text);
  if (width == 0) return "";
  Utf8Locale utf8;
  std::size_t bytes = 0, columns = 0;
  while (bytes < text.size()) {
    Glyph glyph = first_glyph(text.substr(bytes));
    if (columns + glyph.columns > width - 1) break;
    columns += glyph.columns;
    bytes += glyph.bytes;
  }
  return std::string(text.substr(0, bytes)) + "\u2026";
}

std::string paint(const std::string& text, Color color, Colors colors) {
  if (colors == Colors::Off || color == Color::None) return text;
  return escape(color) + text + "\033[0m";
}

std::string render_table(const std::vector<Column>& columns, const std::vector<std::vector<Cell>>& rows,
                         std::size_t width, Colors colors) {
  std::vector<std::vector<Cell>> all(1);
  for (const Column& column : columns) all.front().push_back({column.title, Color::Bold});
  for (const auto& row : rows) {
    BULKHEAD_CHECK(row.size() == columns.size());
    all.push_back(row);
    for (Cell& cell : all.back()) cell.text = printable(cell.text);
  }
  std::vector<std::size_t> widths = column_widths(all, width);
  std::string text;
  for (const auto& row : all) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      bool last = i + 1 == row.size();
      std::string shown = shorten(row[i].text, widths[i]);
      if (!last || columns[i].align == Align::Right) shown = pad(shown, widths[i], columns[i].align);
      text += paint(shown, row[i].color, colors);
      text += last ? "" : std::string(kGap, ' ');
    }
    text.erase(text.find_last_not_of(' ') + 1);
    text += '\n';
  }
  return text;
}

}  // namespace bulkhead::tcmuctl
