// A device whose content does not matter: reads zeroes, forgets writes. What the handlers for tests, which do
// something else when a certain block is read, have in common.
#pragma once

#include <cstring>
#include <span>

#include "handler-host/api/handler.h"

namespace bulkhead::test {

class ZeroDisk : public handler::Device {
 public:
  explicit ZeroDisk(ByteCount size) : size_(size) {}

  [[nodiscard]] handler::Geometry geometry() const override { return {.size = size_}; }
  void read(ByteOffset from, std::span<std::byte> into, handler::Io& io) override {
    std::memset(into.data(), 0, into.size());
    // Larger reads are the kernel's own, looking for partitions.
    if (into.size() == kBlockBytes && does_more(from.value / kBlockBytes, into)) return;
    io.done(handler::IoStatus::Ok);
  }
  void write(ByteOffset, std::span<const std::byte>, handler::Durability, handler::Io& io) override {
    io.done(handler::IoStatus::Ok);
  }
  void flush(handler::Io& io) override { io.done(handler::IoStatus::Ok); }
  void discard(ByteOffset, ByteCount, handler::Io& io) override { io.done(handler::IoStatus::NotSupported); }
  void write_zeroes(ByteOffset, ByteCount, handler::Durability, handler::Io& io) override {
    io.done(handler::IoStatus::Ok);
  }
  [[nodiscard]] Result<> resize(ByteCount size) override {
    size_ = size;
    return {};
  }
  [[nodiscard]] Result<> close() override { return {}; }

 private:
  static constexpr std::size_t kBlockBytes = 512;

  // A block is read alone. True: the READ is not to be answered.
  virtual bool does_more(std::uint64_t block, std::span<std::byte> into) = 0;

  ByteCount size_;
};

}  // namespace bulkhead::test
