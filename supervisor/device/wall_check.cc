#include "supervisor/device/wall_check.h"

#include <fmt/format.h>

#include <cerrno>
#include <string_view>

#include "base/printable.h"

namespace bulkhead::supervisor {
namespace {

constexpr std::string_view kNotAsked = "not asked";

}  // namespace

Result<> believe_walls(const Walls& told, const SeenWalls& seen, bool network, Walls& walls) {
  for (const auto& [name, state] : told)
    if (state == kNotAsked && !(network && name == "network-namespace"))
      return fail(
          Cause::Denied, EPERM,
          fmt::format("says that nobody asked for its wall {}, which its manifest does not do without",
                      printable(name)));
  // Not over those that are there: what it may use of the machine is not the host's to tell.
  walls.insert(told.begin(), told.end());
  for (const auto& [name, standing] : seen) {
    const auto at = walls.try_emplace(name, "off").first;
    if (!standing && stands(at->second))
      return fail(Cause::Denied, EPERM,
                  fmt::format("says that its wall {} stands, and the kernel says that it does not", name));
    if (standing) at->second = "on";
  }
  return {};
}

Result<> require_walls(const Walls& walls, std::span<const std::string> required) {
  for (const std::string& name : required) {
    const auto at = walls.find(name);
    const std::string state = at == walls.end() ? "no such wall" : at->second;
    if (stands(state) || state == kNotAsked) continue;
    return fail(Cause::Denied, EPERM,
                fmt::format("its wall {} is required and does not stand ({}); mend that, or take it out of "
                            "required_walls in tcmu.conf",
                            name, printable(state)));
  }
  return {};
}

}  // namespace bulkhead::supervisor
