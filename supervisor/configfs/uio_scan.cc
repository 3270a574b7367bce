#include "supervisor/configfs/uio_scan.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>

namespace bulkhead::supervisor {
namespace {

constexpr std::string_view kUioClass = "/sys/class/uio";
constexpr std::string_view kMailboxVersion = "2";  // TCMU_MAILBOX_VERSION

// The driver answers EINVAL for the name of a device that is unregistered but still in use.
bool means_gone(const Error& error) {
  return error.sys_errno == ENOENT || error.sys_errno == ENODEV || error.sys_errno == EINVAL;
}

}  // namespace

Result<std::optional<UioDevice>> read_uio(const SysRoot& root, UioMinor minor) {
  const std::string folder = root.path(fmt::format("{}/uio{}", kUioClass, minor.value));
  const Result<std::string> text = read_attribute(folder + "/name");
  if (!text && means_gone(text.error())) return std::nullopt;
  if (!text) return std::unexpected(text.error());
  if (!is_tcmu_name(*text)) return std::nullopt;
  Result<UioName> name = parse_uio_name(*text);
  if (!name) return std::unexpected(std::move(name.error()));
  const Result<std::string> version = read_attribute(folder + "/version");
  if (version && *version != kMailboxVersion)
    return fail(
        Cause::BadInput, EPROTO,
        fmt::format(
            "{}: mailbox version \"{}\", only version {} is known; this kernel needs a newer Bulkhead",
            folder, *version, kMailboxVersion));
  const Result<std::uint64_t> bytes = read_number<std::uint64_t>(folder + "/maps/map0/size");
  for (const Error* error : {version ? nullptr : &version.error(), bytes ? nullptr : &bytes.error()}) {
    if (error == nullptr) continue;
    if (means_gone(*error) && error->cause != Cause::BadInput) return std::nullopt;
    return std::unexpected(*error);
  }
  return UioDevice{.minor = minor, .name = std::move(*name), .map_bytes = {*bytes}};
}

Result<UioScan> scan_uio(const SysRoot& root) {
  std::error_code trouble;
  std::vector<UioMinor> minors;
  const std::string folder = root.path(kUioClass);
  std::filesystem::directory_iterator entry(folder, trouble);
  for (; !trouble && entry != std::filesystem::directory_iterator(); entry.increment(trouble)) {
    const std::string file = entry->path().filename();
    if (!file.starts_with("uio")) continue;
    if (const auto number = parse_number<std::uint32_t>(std::string_view(file).substr(3), file))
      minors.push_back({*number});
  }
  if (trouble == std::errc::no_such_file_or_directory) return UioScan{};
  if (trouble) return fail_errno(trouble.value(), "list " + folder);
  std::ranges::sort(minors);
  UioScan scan;
  for (const UioMinor minor : minors) {
    Result<std::optional<UioDevice>> device = read_uio(root, minor);
    if (!device)
      scan.problems.push_back(fmt::format("uio{}: {}", minor.value, device.error().what));
    else if (*device)
      scan.devices.push_back(std::move(**device));
  }
  return scan;
}

}  // namespace bulkhead::supervisor
