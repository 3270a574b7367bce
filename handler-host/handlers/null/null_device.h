// A LUN without a memory: reads give zeroes, writes vanish, faults come when asked for. For benchmarks of
// everything around a handler, and for tests of what happens when one misbehaves.
//
// Threads: the host's loop thread.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>

#include "base/unique_fd.h"
#include "handler-host/api/handler.h"
#include "handler-host/handlers/null/config.h"

namespace bulkhead::handler {

class NullDevice final : public Device {
 public:
  [[nodiscard]] static Result<std::unique_ptr<Device>> open(Services& services, const OpenRequest& request);
  ~NullDevice() override;

  [[nodiscard]] Geometry geometry() const override;
  void read(ByteOffset from, std::span<std::byte> into, Io& io) override;
  void write(ByteOffset to, std::span<const std::byte> from, Durability durability, Io& io) override;
  void flush(Io& io) override;
  void discard(ByteOffset at, ByteCount length, Io& io) override;
  void write_zeroes(ByteOffset at, ByteCount length, Durability durability, Io& io) override;
  [[nodiscard]] Result<> resize(ByteCount size) override;
  [[nodiscard]] Result<> close() override { return {}; }
  void provisioning(ByteOffset from, ByteCount length, Run& run, Io& io) override;

 private:
  enum class Kind : std::uint8_t { Read, Write, Flush };
  struct Range {
    std::uint64_t offset = 0;
    std::uint64_t bytes = 0;
  };
  struct Waiting {
    std::uint64_t due_ns;
    Io* io;
    IoStatus status;
  };

  NullDevice(Services& services, const NullConfig& config, const OpenRequest& request);
  [[nodiscard]] Result<> start_timer();
  void serve(Kind kind, Range range, Io& io);
  [[nodiscard]] IoStatus judge(Kind kind, Range range);
  [[nodiscard]] bool touches(Range range, std::optional<std::uint64_t> block) const;
  void answer_later(Io& io, IoStatus status);
  void arm();
  void answer_due();

  Services& services_;
  const NullConfig config_;
  const std::uint32_t block_bytes_;
  ByteCount size_;
  std::uint32_t commands_ = 0;
  std::uint32_t reads_ = 0;
  std::uint32_t writes_ = 0;
  std::uint32_t flushes_ = 0;
  UniqueFd timer_;  // runs for the first one waiting; all wait equally long, so they come due in order
  std::deque<Waiting> waiting_;
};

}  // namespace bulkhead::handler
