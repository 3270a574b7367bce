#include "test/storm/device_checker.h"

#include <fmt/format.h>

namespace bulkhead::storm {

DeviceChecker::DeviceChecker(DeviceIdentity identity, std::uint64_t blocks, std::size_t block_bytes)
    : identity_(std::move(identity)), block_bytes_(block_bytes), blocks_(blocks) {}

DeviceChecker::Write DeviceChecker::begin_write(Extent extent, std::uint16_t writer,
                                                std::span<std::byte> data) {
  Write write{extent, ++version_, writer};
  tick();
  for (std::uint64_t i = 0; i < extent.blocks; ++i) {
    const std::uint64_t number = extent.first + i;
    write_image(data.subspan(i * block_bytes_, block_bytes_), {.run = identity_.run,
                                                               .device = identity_.device,
                                                               .writer = writer,
                                                               .block = number,
                                                               .version = write.version});
    blocks_[number].checker.write_begins(write.version, clock_);
    note(number, EventKind::WriteBegins, writer, write.version);
  }
  return write;
}

void DeviceChecker::end_write(const Write& write, Outcome outcome) {
  tick();
  const bool good = outcome == Outcome::Acknowledged;
  for (std::uint64_t i = 0; i < write.extent.blocks; ++i) {
    const std::uint64_t number = write.extent.first + i;
    if (good)
      blocks_[number].checker.write_ends(write.version, clock_);
    else
      blocks_[number].checker.write_fails(write.version, clock_);
    note(number, good ? EventKind::WriteEnds : EventKind::WriteFails, write.writer, write.version);
  }
}

DeviceChecker::Read DeviceChecker::begin_read(Extent extent, std::uint16_t writer) {
  tick();
  Read read{extent, clock_, writer};
  for (std::uint64_t i = 0; i < extent.blocks; ++i) {
    blocks_[extent.first + i].checker.read_begins(clock_);
    note(extent.first + i, EventKind::ReadBegins, writer, 0);
  }
  return read;
}

void DeviceChecker::fail_read(const Read& read) {
  tick();
  for (std::uint64_t i = 0; i < read.extent.blocks; ++i) {
    blocks_[read.extent.first + i].checker.read_fails(read.began);
    note(read.extent.first + i, EventKind::ReadFails, read.writer, 0);
  }
}

std::optional<std::string> DeviceChecker::end_read(const Read& read, std::span<const std::byte> data) {
  tick();
  std::optional<std::string> first;
  for (std::uint64_t i = 0; i < read.extent.blocks; ++i) {
    std::optional<std::string> wrong =
        judge(read.extent.first + i, read, data.subspan(i * block_bytes_, block_bytes_));
    if (wrong && !first) first = report(read.extent.first + i, read, *wrong);
  }
  return first;
}

std::optional<std::string> DeviceChecker::judge(std::uint64_t number, const Read& read,
                                                std::span<const std::byte> data) {
  BlockRegister& checker = blocks_[number].checker;
  std::expected<BlockHeader, std::string> found = read_image(data);
  note(number, EventKind::ReadEnds, read.writer, found ? found->version : 0);
  if (!found) {
    const bool excused = checker.written_since(read.began);
    if (excused) ++torn_while_written_;
    std::string expected = checker.allowed(read.began);
    checker.read_fails(read.began);
    if (excused) return std::nullopt;
    return fmt::format("{}; nobody was writing it; expected version {}", found.error(), expected);
  }
  if (found->run != identity_.run || found->device != identity_.device || found->block != number) {
    std::string expected = checker.allowed(read.began);
    checker.read_fails(read.began);
    return fmt::format(
        "holds what belongs elsewhere: {}; expected run {:016x}, device {}, block {}, version {}",
        describe(*found), identity_.run, identity_.device, number, expected);
  }
  std::optional<std::string> wrong = checker.read_ends(read.began, found->version, clock_);
  if (wrong) *wrong += "; found " + describe(*found);
  return wrong;
}

std::string DeviceChecker::report(std::uint64_t number, const Read& read, const std::string& wrong) const {
  return fmt::format(
      "{}: block {} (byte {}), read #{} of blocks {}..{}, ended {}: {}\nits last events, times in UTC:\n{}",
      identity_.path, number, number * block_bytes_, read.began, read.extent.first,
      read.extent.first + read.extent.blocks - 1, clock_text(wall_microseconds()), wrong,
      blocks_[number].history.text());
}

void DeviceChecker::tick() {
  ++clock_;
  wall_ = wall_microseconds();
}

void DeviceChecker::note(std::uint64_t number, EventKind kind, std::uint16_t writer, Version version) {
  blocks_[number].history.add({kind, writer, version, clock_, wall_});
}

}  // namespace bulkhead::storm
