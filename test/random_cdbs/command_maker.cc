#include "test/random_cdbs/command_maker.h"

#include <algorithm>
#include <array>

namespace bulkhead::random_cdbs {
namespace {

constexpr std::uint8_t kSends[] = {0x04, 0x07, 0x0a, 0x15, 0x1d, 0x2a, 0x2e, 0x2f, 0x3b, 0x41,
                                   0x42, 0x48, 0x4c, 0x53, 0x55, 0x5f, 0x83, 0x89, 0x8a, 0x8b,
                                   0x8e, 0x8f, 0x93, 0x9c, 0xa4, 0xaa, 0xae, 0xaf};
// FORMAT UNIT and SANITIZE: nothing else is done while one is under way, so there are few of them.
constexpr std::uint8_t kTakesLong[] = {0x04, 0x48};
constexpr unsigned kPercentLong = 2;
constexpr std::size_t kLengths[] = {0, 1, 4, 8, 16, 24, 36, 96, 252, 512, 1024, 4096, 8192, 65536};
constexpr std::size_t kMostData = 128 << 10;
constexpr unsigned kPercentPlausible = 75, kPercentRightWay = 90, kPercentSmall = 80;

// Groups of operation codes have CDBs of one length (SPC-5 4.2.5.1).
std::size_t cdb_bytes(std::uint8_t operation_code, std::mt19937_64& random) {
  constexpr std::size_t kOfGroup[] = {6, 10, 10, 0, 16, 12, 0, 0};
  if (operation_code == 0x7f) return 32;
  const std::size_t bytes = kOfGroup[operation_code >> 5];
  return bytes != 0 ? bytes : 6 + random() % 11;
}

}  // namespace

Command CommandMaker::next() {
  Command command;
  do {
    command.cdb = !supported_.empty() && chance(kPercentPlausible) ? plausible_cdb() : any_cdb();
  } while (std::ranges::find(kTakesLong, command.cdb[0]) != std::end(kTakesLong) && !chance(kPercentLong));
  command.direction = direction_for(command.cdb[0]);
  command.data.resize(command.direction == Direction::None ? 0 : data_bytes());
  // Parameter lists are mostly zeros with small numbers at the beginning; data is anything.
  const std::size_t filled =
      chance(50) ? command.data.size() : std::min<std::size_t>(command.data.size(), 64);
  const bool small = chance(50);
  for (std::size_t at = 0; at < filled; ++at)
    command.data[at] = small && !chance(20) ? static_cast<std::uint8_t>(byte() & 3) : byte();
  return command;
}

std::vector<std::uint8_t> CommandMaker::plausible_cdb() {
  const UsageMap& usage = supported_[random_() % supported_.size()];
  std::vector<std::uint8_t> cdb = usage.cdb;
  for (std::size_t at = 1; at < cdb.size(); ++at)
    if (usage.bits[at] != 0 && cdb[at] == 0) cdb[at] = static_cast<std::uint8_t>(byte() & usage.bits[at]);
  if (chance(kPercentSmall)) shrink_fields(cdb, usage);
  if (chance(10)) cdb[1 + random_() % (cdb.size() - 1)] = byte();
  return cdb;
}

// Numbers of several bytes become such as a small disk can follow.
void CommandMaker::shrink_fields(std::vector<std::uint8_t>& cdb, const UsageMap& usage) {
  for (std::size_t at = 2; at < cdb.size();) {
    std::size_t end = at;
    while (end < cdb.size() && usage.bits[end] == 0xff) ++end;
    for (std::size_t high = at; high + 2 < end; ++high) cdb[high] = 0;
    if (end - at >= 2 && chance(50)) cdb[end - 2] = 0;
    at = std::max(end, at + 1);
  }
}

std::vector<std::uint8_t> CommandMaker::any_cdb() {
  const std::uint8_t operation_code = byte();
  std::vector<std::uint8_t> cdb(cdb_bytes(operation_code, random_));
  const bool sparse = chance(50);
  std::ranges::generate(cdb, [&] { return sparse && chance(70) ? std::uint8_t{0} : byte(); });
  cdb[0] = operation_code;
  if (operation_code == 0x7f) cdb[7] = 24;  // ADDITIONAL CDB LENGTH
  return cdb;
}

Direction CommandMaker::direction_for(std::uint8_t operation_code) {
  const bool sends = std::ranges::find(kSends, operation_code) != std::end(kSends);
  if (chance(kPercentRightWay)) return sends ? Direction::ToDisk : Direction::FromDisk;
  return static_cast<Direction>(random_() % 3);
}

std::size_t CommandMaker::data_bytes() {
  if (chance(70)) return kLengths[random_() % std::size(kLengths)];
  return random_() % kMostData;
}

}  // namespace bulkhead::random_cdbs
