#include "supervisor/configfs/backstore.h"

#include <fmt/format.h>

#include <cerrno>
#include <initializer_list>
#include <utility>

namespace bulkhead::supervisor {
namespace {

// "T10 VPD Unit Serial Number: 1234" -> "1234"
std::string after_colon(const std::string& text) {
  const std::size_t colon = text.find(": ");
  return colon == std::string::npos ? std::string() : text.substr(colon + 2);
}

// The last one: the config string stands before it and may hold anything.
Result<std::uint64_t> size_in_info(const std::string& info, const std::string& path) {
  constexpr std::string_view kKey = " Size: ";
  const std::size_t at = info.rfind(kKey);
  if (at == std::string::npos) return fail(Cause::BadInput, EPROTO, path + ": no \"Size:\" in it");
  const std::string_view rest = std::string_view(info).substr(at + kKey.size());
  return parse_number<std::uint64_t>(rest.substr(0, rest.find_first_of(" \n")), path);
}

}  // namespace

Backstore::Backstore(const SysRoot& root, const UioName& name)
    : folder_(root.path(fmt::format("/sys/kernel/config/target/core/{}/{}", name.hba, name.device))) {}

Result<std::uint64_t> Backstore::size() const {
  Result<std::uint64_t> size = read_number<std::uint64_t>(folder_ + "/attrib/dev_size");
  if (size || size.error().sys_errno != ENOENT) return size;
  const Result<std::string> info = read_attribute(folder_ + "/info");
  if (!info) return std::unexpected(info.error());
  return size_in_info(*info, folder_ + "/info");
}

Result<BackstoreFacts> Backstore::facts() const {
  const Result<std::uint64_t> bytes = size();
  if (!bytes) return std::unexpected(bytes.error());
  BackstoreFacts facts{.size = {*bytes}};
  std::uint32_t write_cache = 0;
  const std::pair<const char*, std::uint32_t*> numbers[] = {{"hw_block_size", &facts.block_bytes},
                                                            {"hw_max_sectors", &facts.max_sectors},
                                                            {"emulate_write_cache", &write_cache},
                                                            {"cmd_time_out", &facts.command_timeout_s}};
  for (const auto& [file, target] : numbers) {
    const Result<std::uint32_t> number = read_number<std::uint32_t>(folder_ + "/attrib/" + file);
    if (!number) return std::unexpected(number.error());
    *target = *number;
  }
  facts.write_cache = write_cache != 0;
  return facts;
}

Result<std::uint32_t> Backstore::command_timeout() const {
  return read_number<std::uint32_t>(folder_ + "/attrib/cmd_time_out");
}

Result<BackstoreIdentity> Backstore::identity() const {
  BackstoreIdentity identity;
  const Result<std::string> serial = read_attribute(folder_ + "/wwn/vpd_unit_serial");
  if (!serial) return std::unexpected(serial.error());
  identity.unit_serial = after_colon(*serial);
  for (const auto& [file, target] : {std::pair{"vendor_id", &identity.vendor},
                                     {"product_id", &identity.product},
                                     {"revision", &identity.revision}}) {
    Result<std::string> text = read_attribute(folder_ + "/wwn/" + file);
    // Younger than the serial number's file; without them the built-in names are used.
    if (!text && text.error().sys_errno == ENOENT) continue;
    if (!text) return std::unexpected(std::move(text.error()));
    *target = std::move(*text);
  }
  return identity;
}

Result<std::uint32_t> Backstore::device_id() const {
  return read_number<std::uint32_t>(folder_ + "/statistics/scsi_dev/indx");
}

Result<bool> Backstore::configured() const {
  // Not action/block_dev: only writing it is refused until then, reading always works.
  const Result<std::uint32_t> enabled = read_number<std::uint32_t>(folder_ + "/enable");
  if (!enabled) return std::unexpected(enabled.error());
  return *enabled != 0;
}

Result<> Backstore::set_blocked(Blocked blocked) const {
  return write_attribute(folder_ + "/action/block_dev", blocked == Blocked::Yes ? "1" : "0");
}

Result<> Backstore::ask_for_task_management() const {
  return write_attribute(folder_ + "/attrib/tmr_notification", "1");
}

Result<> Backstore::reset_ring(ResetRing how) const {
  return write_attribute(folder_ + "/action/reset_ring", how == ResetRing::Busy ? "1" : "2");
}

}  // namespace bulkhead::supervisor
