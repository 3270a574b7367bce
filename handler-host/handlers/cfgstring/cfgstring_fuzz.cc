// What an administrator or a script may have put into dev_config: the grammar, and every option of handlers
// file and null. Nothing may crash, and what is shown of the input must be printable.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "handler-host/handlers/cfgstring/cfgstring.h"
#include "handler-host/handlers/file/config.h"
#include "handler-host/handlers/null/config.h"

namespace {

void check_printable(std::string_view text) {
  for (const char c : text) BULKHEAD_CHECK(static_cast<unsigned char>(c) >= 0x20 && c != 0x7f);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace bulkhead;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  auto parsed = handler::parse_cfgstring(text);
  if (!parsed) check_printable(parsed.error().what);
  if (parsed) BULKHEAD_CHECK(parsed->path.find('\0') == std::string::npos);

  auto file = handler::parse_file_config(text);
  if (!file) check_printable(file.error().what);
  if (file) BULKHEAD_CHECK(file->path.starts_with('/'));

  auto null = handler::parse_null_config(text);
  if (!null) check_printable(null.error().what);
  return 0;
}
