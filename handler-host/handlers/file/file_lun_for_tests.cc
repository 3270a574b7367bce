#include "handler-host/handlers/file/file_lun_for_tests.h"

#include <stdlib.h>

#include <algorithm>
#include <cstring>
#include <fstream>

namespace bulkhead::handler {
namespace {

constexpr std::uintptr_t kPage = 4096;

}  // namespace

ScratchFolder::ScratchFolder(const std::filesystem::path& where) {
  std::string pattern = where / "file-lun-XXXXXX";  // mkdtemp() puts letters for the X's
  if (::mkdtemp(pattern.data()) != nullptr) folder_ = pattern;
}

ScratchFolder::~ScratchFolder() {
  std::error_code ignored;
  if (valid()) std::filesystem::remove_all(folder_, ignored);
}

std::string ScratchFolder::file(const std::string& name, std::uint64_t bytes) const {
  std::ofstream(folder_ / name).close();
  std::filesystem::resize_file(folder_ / name, bytes);
  return folder_ / name;
}

Buffer::Buffer(std::size_t bytes, std::size_t misaligned_by) : memory_(bytes + 2 * kPage) {
  const auto start = reinterpret_cast<std::uintptr_t>(memory_.data());
  const std::uintptr_t aligned = (start + kPage - 1) / kPage * kPage;
  bytes_ = std::span(memory_).subspan(aligned - start + misaligned_by, bytes);
}

void Buffer::fill(std::uint8_t value) const {
  std::memset(bytes_.data(), value, bytes_.size());
}

bool Buffer::holds_only(std::uint8_t value) const {
  return std::ranges::all_of(bytes_, [value](std::byte one) { return one == std::byte{value}; });
}

FileLun::FileLun(const std::string& config, std::uint64_t bytes, std::uint32_t block_bytes)
    : loop(std::move(*host::EventLoop::create())), services(*loop) {
  auto opened = FileDevice::open(
      services,
      OpenRequest{.device = "user_1/d0", .config = config, .size = {bytes}, .block_bytes = block_bytes});
  if (opened)
    device = std::move(*opened);
  else
    open_error = opened.error();
}

IoStatus FileLun::read(std::uint64_t offset, const Buffer& into) {
  host::WaitingIo io;
  device->read({offset}, into.bytes(), io);
  return io.wait(*loop);
}

IoStatus FileLun::write(std::uint64_t offset, const Buffer& from, Durability durability) {
  host::WaitingIo io;
  device->write({offset}, from.bytes(), durability, io);
  return io.wait(*loop);
}

IoStatus FileLun::flush() {
  host::WaitingIo io;
  device->flush(io);
  return io.wait(*loop);
}

IoStatus FileLun::discard(std::uint64_t offset, std::uint64_t bytes) {
  host::WaitingIo io;
  device->discard({offset}, {bytes}, io);
  return io.wait(*loop);
}

IoStatus FileLun::write_zeroes(std::uint64_t offset, std::uint64_t bytes, Durability durability) {
  host::WaitingIo io;
  device->write_zeroes({offset}, {bytes}, durability, io);
  return io.wait(*loop);
}

std::string FileLun::runs(std::uint64_t offset, std::uint64_t bytes) {
  std::vector<Run> all;
  for (const std::uint64_t end = offset + bytes; offset < end;) {
    host::WaitingIo io;
    Run run;
    device->provisioning({offset}, {end - offset}, run, io);
    if (const IoStatus status = io.wait(*loop); status != IoStatus::Ok)
      return "status " + std::to_string(static_cast<int>(status));
    if (run.length.value == 0 || run.length.value > end - offset) return "bad length";
    offset += run.length.value;
    if (!all.empty() && all.back().provisioning == run.provisioning)
      all.back().length.value += run.length.value;
    else
      all.push_back(run);
  }
  std::string words;
  for (const Run& run : all)
    words += (words.empty() ? "" : ", ") +
             std::string(run.provisioning == Provisioning::Mapped ? "data " : "hole ") +
             std::to_string(run.length.value);
  return words;
}

IoStatus FileLun::space(Space& into) {
  host::WaitingIo io;
  device->space(into, io);
  return io.wait(*loop);
}

}  // namespace bulkhead::handler
