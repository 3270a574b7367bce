#include "supervisor/device/sandbox_arguments.h"

#include <filesystem>

namespace bulkhead::supervisor {

std::vector<std::string> sandbox_arguments(const HandlerManifest& manifest, const std::string& library,
                                           std::span<const std::string> required, const Walls& ours) {
  const HandlerManifest::Needs& needs = manifest.needs();
  std::vector<std::string> arguments{"--library-dir=" +
                                     std::filesystem::path(library).parent_path().string()};
  for (const std::string& path : needs.path()) arguments.push_back("--path=" + path);
  if (needs.network()) arguments.emplace_back("--network");
  if (needs.threads()) arguments.emplace_back("--threads");
  for (const std::string& name : needs.syscall()) arguments.push_back("--syscall=" + name);
  std::string names;
  for (const std::string& name : required)
    if (!ours.contains(name)) names += (names.empty() ? "" : ",") + name;
  if (!names.empty()) arguments.push_back("--require=" + names);
  return arguments;
}

}  // namespace bulkhead::supervisor
