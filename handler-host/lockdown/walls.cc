#include "handler-host/lockdown/walls.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace bulkhead::host {
namespace {

constexpr std::string_view kNames[] = {"user",
                                       "capabilities",
                                       "no-new-privileges",
                                       "user-namespace",
                                       "pid-namespace",
                                       "mount-namespace",
                                       "ipc-namespace",
                                       "uts-namespace",
                                       "cgroup-namespace",
                                       "network-namespace",
                                       "root",
                                       "landlock",
                                       "seccomp",
                                       "dumpable",
                                       "limits"};
constexpr std::string_view kOn = "on";
constexpr std::string_view kNotAsked = "not asked";

}  // namespace

Walls::Walls() {
  for (const std::string_view name : kNames) walls_.push_back({name, "off"});
}

void Walls::set(std::string_view name, std::string state) {
  const auto wall = std::ranges::find(walls_, name, &Wall::name);
  BULKHEAD_CHECK(wall != walls_.end());
  wall->state = std::move(state);
}

void Walls::stands(std::string_view name) {
  set(name, std::string(kOn));
}

void Walls::not_asked(std::string_view name) {
  set(name, std::string(kNotAsked));
}

void Walls::missing(std::string_view name, std::string_view reason) {
  set(name, fmt::format("missing: {}", reason));
}

std::string_view Walls::state(std::string_view name) const {
  const auto wall = std::ranges::find(walls_, name, &Wall::name);
  return wall == walls_.end() ? "unknown" : std::string_view(wall->state);
}

Result<> Walls::check(std::span<const std::string> required) const {
  for (const std::string& name : required)
    if (const std::string_view is = state(name); is != kOn && is != kNotAsked)
      return fail(Cause::Denied, EPERM, fmt::format("wall {} is required, and is {}", name, is));
  return {};
}

}  // namespace bulkhead::host
