// Any name of a descriptor that systemd kept: what is taken for one of ours is spelt as we spell it, and each
// goes where it belongs or is named as unknown.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "supervisor/keeper/kept_lun.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace bulkhead::supervisor;
  // systemd puts colons between them.
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  std::vector<KeptFd> kept;
  std::size_t ours = 0;
  for (bool more = true; more;) {
    const std::size_t colon = rest.find(':');
    more = colon != std::string_view::npos;
    const std::string_view name = rest.substr(0, colon);
    if (more) rest.remove_prefix(colon + 1);
    if (const auto parsed = parse_kept_name(name)) {
      BULKHEAD_CHECK(format(*parsed) == name);
      ++ours;
    }
    kept.push_back({.name = std::string(name), .fd = {}});
  }
  const std::size_t all = kept.size();
  const KeptLuns found = group_by_lun(std::move(kept));
  BULKHEAD_CHECK(found.unknown.size() == all - ours && found.luns.size() <= ours);
  return 0;
}
