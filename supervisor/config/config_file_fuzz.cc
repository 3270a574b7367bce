// Any bytes as tcmu.conf: no hang, no crash, and what comes out obeys the grammar and the bounds.
#include <cstdint>
#include <string_view>

#include "base/error.h"
#include "supervisor/config/settings.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace bulkhead::supervisor;
  const ConfigFile file = parse_config({reinterpret_cast<const char*>(data), size});
  std::size_t line = 0;
  for (const ConfigEntry& entry : file.entries) {
    BULKHEAD_CHECK(!entry.key.empty() && entry.line > line);
    BULKHEAD_CHECK(!entry.value || entry.value->find_first_of("\r\n") == std::string::npos);
    line = entry.line;
  }
  BULKHEAD_CHECK(file.problems.size() <= 21);
  Settings settings;
  std::vector<std::string> warnings;
  std::vector<ConfigEntry> unknown;
  apply(file, settings, warnings, unknown);
  BULKHEAD_CHECK(settings.log_level <= bulkhead::Level::DebugScsi);
  BULKHEAD_CHECK(!settings.log_directory || settings.log_directory->starts_with('/'));
  BULKHEAD_CHECK(settings.host_uid_base >= 65536 && settings.host_uid_base <= 0x7feffc00);
  // One complaint for an entry or a section, and two doubts about what a section's entries come to.
  BULKHEAD_CHECK(unknown.size() + warnings.size() <= file.entries.size() + 3 * file.sections.size() + 2);
  return 0;
}
