// The grammar of tcmu.conf. Pure; any thread. tcmu-runner's, without the lines that made it hang:
//
//   line    = [blanks] ( comment | section | setting | nothing )   ends at \n or \r
//   section = "[" name "]"                                    what follows is about this alone
//   comment = "#" anything                                    only at the line's start
//   setting = key [blanks] [ "=" [blanks] value ]             without "=": the key alone, a switch
//   key     = letter { letter | digit | "_" | "-" | "." }
//   value   = '"' text '"' | "'" text "'" | text              of a bare text a " #" and what follows is a
//   comment
//
// A section's name ends at the first "]" that nothing but a comment follows; it needs no quotes and knows no
// escapes. tcmu-runner's file has no sections. A quoted text may hold the other kind of quote, and its own
// kind inside, as tcmu-runner allowed. Every bad line is a problem with its number and is left out; no input
// stops the reading.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace bulkhead::supervisor {

struct ConfigEntry {
  std::size_t line;  // from 1
  std::string key;
  std::optional<std::string> value;  // nullopt: a switch
  std::string section;               // empty: before the first one
};

struct ConfigSection {
  std::size_t line;
  std::string name;
};

struct ConfigFile {
  std::vector<ConfigEntry> entries;  // in the file's order
  std::vector<ConfigSection> sections;
  std::vector<std::string> problems;  // "line 3: ..."
};

[[nodiscard]] ConfigFile parse_config(std::string_view text);

// Blocking. nullopt: no such file. Errors: unreadable, not a regular file, larger than 1 MiB.
[[nodiscard]] Result<std::optional<ConfigFile>> read_config(const std::string& path);

}  // namespace bulkhead::supervisor
