#include <fmt/format.h>

#include "base/endian.h"
#include "test/random_cdbs/command_maker.h"

namespace bulkhead::random_cdbs {
namespace {

constexpr std::uint8_t kMaintenanceIn = 0xa3, kReportSupportedOperationCodes = 0x0c;
constexpr std::size_t kRoom = 8192, kHeader = 4, kDescriptor = 8;
constexpr std::uint8_t kHasServiceAction = 1;                    // SERVACTV
constexpr std::uint8_t kOneByCode = 1, kOneByServiceAction = 2;  // REPORTING OPTIONS

Result<std::vector<std::uint8_t>> ask(ScsiDisk& disk, std::uint8_t option, std::uint8_t code,
                                      std::uint16_t action) {
  Command command{
      .cdb = {kMaintenanceIn, kReportSupportedOperationCodes, option, code, 0, 0, 0, 0, 0, 0, 0, 0},
      .direction = Direction::FromDisk,
      .data = std::vector<std::uint8_t>(kRoom)};
  put_be16(std::span<std::uint8_t, 2>(&command.cdb[4], 2), action);
  put_be32(std::span<std::uint8_t, 4>(&command.cdb[6], 4), kRoom);
  const auto answer = disk.execute(command);
  if (!answer) return std::unexpected(answer.error());
  if (answer->status != 0 || answer->host_status != 0)
    return fail(
        Cause::PeerBroken, EPROTO,
        fmt::format("REPORT SUPPORTED OPERATION CODES for {:02x} got status {:02x}", code, answer->status));
  return std::move(command.data);
}

UsageMap usage_of(std::span<const std::uint8_t> bits, std::uint8_t code, bool has_action,
                  std::uint16_t action) {
  UsageMap usage{.cdb = std::vector<std::uint8_t>(bits.size()), .bits = {bits.begin(), bits.end()}};
  usage.cdb[0] = code;
  if (!has_action) return usage;
  // Of 32 bytes: in bytes 8 and 9, behind the ADDITIONAL CDB LENGTH.
  if (code == 0x7f && bits.size() >= 10) {
    usage.cdb[7] = static_cast<std::uint8_t>(bits.size() - 8);
    put_be16(std::span<std::uint8_t, 2>(&usage.cdb[8], 2), action);
  } else {
    usage.cdb[1] = static_cast<std::uint8_t>(action);
  }
  return usage;
}

}  // namespace

Result<std::vector<UsageMap>> supported_commands(ScsiDisk& disk) {
  const auto all = ask(disk, 0, 0, 0);
  if (!all) return std::unexpected(all.error());
  const std::size_t bytes = be32(std::span<const std::uint8_t, 4>(all->data(), 4));
  if (bytes == 0 || bytes % kDescriptor != 0 || kHeader + bytes > all->size())
    return fail(Cause::PeerBroken, EPROTO, fmt::format("a list of supported commands of {} bytes", bytes));
  std::vector<UsageMap> supported;
  for (std::size_t at = kHeader; at < kHeader + bytes; at += kDescriptor) {
    const std::uint8_t code = (*all)[at];
    const std::uint16_t action = be16(std::span<const std::uint8_t, 2>(&(*all)[at + 2], 2));
    const bool has_action = ((*all)[at + 5] & kHasServiceAction) != 0;
    const auto one = ask(disk, has_action ? kOneByServiceAction : kOneByCode, code, action);
    if (!one) return std::unexpected(one.error());
    const std::size_t size = be16(std::span<const std::uint8_t, 2>(&(*one)[2], 2));
    if (size < 6 || kHeader + size > one->size())
      return fail(Cause::PeerBroken, EPROTO, fmt::format("a CDB of {} bytes for {:02x}", size, code));
    supported.push_back(usage_of(std::span(*one).subspan(kHeader, size), code, has_action, action));
  }
  return supported;
}

}  // namespace bulkhead::random_cdbs
