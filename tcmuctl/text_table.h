// Aligned columns for a terminal. Widths are columns on the screen, not bytes: names may be in any script.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead::tcmuctl {

enum class Colors : std::uint8_t { Off, On };
enum class Color : std::uint8_t { None, Green, Yellow, Red, Bold };
enum class Align : std::uint8_t { Left, Right };

struct Cell {
  std::string text;  // anything; made printable here
  Color color = Color::None;
};
struct Column {
  std::string title;
  Align align = Align::Left;
};

// Columns on the screen.
[[nodiscard]] std::size_t screen_width(std::string_view printable_text);
// At most `width` columns of `text`, never a part of a character; a cut is shown by an ellipsis.
[[nodiscard]] std::string shorten(std::string_view printable_text, std::size_t width);
[[nodiscard]] std::string paint(const std::string& text, Color color, Colors colors);

// A line of titles, then one per row, each ended by a newline and without trailing blanks. `width` of the
// screen: the last column is shortened to fit; 0: nothing is. Every row has as many cells as there are
// columns.
[[nodiscard]] std::string render_table(const std::vector<Column>& columns,
                                       const std::vector<std::vector<Cell>>& rows, std::size_t width,
                                       Colors colors);

}  // namespace bulkhead::tcmuctl
