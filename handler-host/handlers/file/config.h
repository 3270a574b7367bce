// The config string of handler `file`, as data.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"

namespace bulkhead::handler {

enum class Direct : std::uint8_t { Auto, On, Off };
enum class EngineChoice : std::uint8_t { Auto, Uring, Threads };

struct FileConfig {
  std::string path;
  bool read_only = false;
  bool create = false;           // make a missing file with the LUN's size
  bool write_cache = true;       // off: every write is on stable storage when it is answered
  bool discard = true;           // give unmapped blocks back
  bool lock = true;              // refuse a file that another LUN serves
  Direct direct = Direct::Auto;  // past the page cache
  EngineChoice engine = EngineChoice::Auto;
};

// Pure; any thread. Errors: BadInput with a text for people. An existing file is not looked at.
[[nodiscard]] Result<FileConfig> parse_file_config(std::string_view text);

}  // namespace bulkhead::handler
