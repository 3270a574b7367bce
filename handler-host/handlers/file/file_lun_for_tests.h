// A LUN on a scratch file, served by handler `file` on a loop of its own: verbs for tests.
#pragma once

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "handler-host/handlers/file/file_device.h"
#include "handler-host/runtime/event_loop.h"
#include "handler-host/runtime/testing/loop_services.h"

namespace bulkhead::handler {

inline constexpr std::uint64_t kMebibyte = 1 << 20;

// A folder that goes away with the test; unless told otherwise on the file system the tests run on, which is
// a disk, not tmpfs. Not valid() if it can't be made there.
class ScratchFolder {
 public:
  explicit ScratchFolder(const std::filesystem::path& where = ::testing::TempDir());
  ~ScratchFolder();
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  [[nodiscard]] bool valid() const { return !folder_.empty(); }
  [[nodiscard]] std::string path(const std::string& name) const { return folder_ / name; }
  // A sparse file.
  std::string file(const std::string& name, std::uint64_t bytes) const;

 private:
  std::filesystem::path folder_;
};

// Page aligned, as the channel's buffers are; optionally moved off it.
class Buffer {
 public:
  explicit Buffer(std::size_t bytes, std::size_t misaligned_by = 0);
  [[nodiscard]] std::span<std::byte> bytes() const { return bytes_; }
  void fill(std::uint8_t value) const;
  [[nodiscard]] bool holds_only(std::uint8_t value) const;

 private:
  std::vector<std::byte> memory_;
  std::span<std::byte> bytes_;
};

class FileLun {
 public:
  // Opens; `open_error` tells why there is no device then.
  FileLun(const std::string& config, std::uint64_t bytes, std::uint32_t block_bytes = 512);

  IoStatus read(std::uint64_t offset, const Buffer& into);
  IoStatus write(std::uint64_t offset, const Buffer& from, Durability durability = Durability::Cached);
  IoStatus flush();
  IoStatus discard(std::uint64_t offset, std::uint64_t bytes);
  IoStatus write_zeroes(std::uint64_t offset, std::uint64_t bytes,
                        Durability durability = Durability::Cached);
  // The runs of a range in words, equal neighbours as one: "data 4096, hole 8192".
  std::string runs(std::uint64_t offset, std::uint64_t bytes);
  IoStatus space(Space& into);

  std::unique_ptr<host::EventLoop> loop;
  host::LoopServices services;
  std::unique_ptr<Device> device;
  Error open_error;
};

}  // namespace bulkhead::handler
