// Text from outside, made fit for a terminal, a log line and D-Bus: one line, valid UTF-8, no control
// characters.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace bulkhead {

// Copies `from` into `to` and returns the bytes written. A newline becomes \n, a tab \t, any other control
// character (C0, DEL, C1) and every byte that is not part of valid UTF-8 becomes \xNN. Never splits a
// character; what does not fit is dropped and the text then ends in "...". Allocates nothing.
std::size_t printable_into(std::span<char> to, std::string_view from);

[[nodiscard]] std::string printable(std::string_view from);

// Is `text` what printable() would leave alone?
[[nodiscard]] bool is_printable(std::string_view text);

}  // namespace bulkhead
