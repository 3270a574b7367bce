// A handler::Device in memory whose operations can be held back, be made to fail, and are written down. It
// judges its caller by the contract of handler-host/api/handler.h: a breach ends the test process.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <iosfwd>
#include <map>
#include <optional>
#include <vector>

#include "handler-host/api/handler.h"

namespace bulkhead::scsi::testing {

enum class OpKind : std::uint8_t { Read, Write, Flush, Discard, WriteZeroes, Provisioning, Space };

struct Op {
  OpKind kind;
  std::uint64_t at = 0;
  std::uint64_t bytes = 0;
  handler::Durability durability = handler::Durability::Cached;
  bool operator==(const Op&) const = default;
};
std::ostream& operator<<(std::ostream& out, const Op& op);

class MemoryDevice final : public handler::Device {
 public:
  // What a block holds after a discard that does not zero.
  static constexpr std::byte kDiscarded{0xdd};

  MemoryDevice(ByteCount size, std::uint32_t block_bytes, handler::Geometry geometry);
  ~MemoryDevice() override;

  // handler::Device
  [[nodiscard]] handler::Geometry geometry() const override { return geometry_; }
  void read(ByteOffset from, std::span<std::byte> into, handler::Io& io) override;
  void write(ByteOffset to, std::span<const std::byte> from, handler::Durability durability,
             handler::Io& io) override;
  void flush(handler::Io& io) override;
  void discard(ByteOffset at, ByteCount length, handler::Io& io) override;
  void write_zeroes(ByteOffset at, ByteCount length, handler::Durability durability,
                    handler::Io& io) override;
  [[nodiscard]] Result<> resize(ByteCount size) override;
  [[nodiscard]] Result<> close() override { return {}; }
  void provisioning(ByteOffset from, ByteCount length, handler::Run& run, handler::Io& io) override;
  void space(handler::Space& space, handler::Io& io) override;
  [[nodiscard]] bool lost_writes() const override { return lost; }

  // The medium, and all that was asked for, in order.
  std::vector<std::byte> bytes;
  std::vector<Op> ops;
  [[nodiscard]] handler::Geometry& geometry_to_change() { return geometry_; }

  // By block, kept up to date by what changes the medium. All is mapped at first.
  std::vector<bool> mapped;
  std::uint64_t longest_run = UINT64_MAX;  // of provisioning(), in bytes
  // What space() tells; nothing: NotSupported, and the question is not written down.
  std::optional<handler::Space> room;

  bool lost = false;  // what lost_writes() tells

  // Called when an operation begins.
  std::function<void(const Op&)> on_begin;

  // From now on every operation of this kind ends so; Ok: as it should.
  void fail(OpKind kind, handler::IoStatus status) { outcomes_[kind] = status; }
  // Operations wait until finish(); the medium is read or changed then. Off: those that wait stay held.
  void hold(bool on) { holding_ = on; }
  [[nodiscard]] std::size_t held() const { return held_.size(); }
  // The `index`th of those that wait. A status overrides what the medium or fail() say.
  void finish(std::size_t index = 0, std::optional<handler::IoStatus> status = std::nullopt);
  void finish_all();
  [[nodiscard]] const Op& held_op(std::size_t index) const { return held_[index].op; }
  // A second end of the operation that ended last.
  void end_again() { last_->done(handler::IoStatus::Ok); }

 private:
  struct Held {
    Op op;
    std::span<std::byte> into;
    std::span<const std::byte> from;
    handler::Io* io;
    handler::Run* run = nullptr;
    handler::Space* space = nullptr;
  };
  void begin(Held held);
  [[nodiscard]] handler::IoStatus perform(const Held& held);
  void check(const Op& op) const;
  void set_mapped(const Op& op, bool is);
  [[nodiscard]] handler::Run run_of(const Op& op) const;

  std::uint32_t block_bytes_;
  handler::Geometry geometry_;
  std::map<OpKind, handler::IoStatus> outcomes_;
  std::deque<Held> held_;
  bool holding_ = false;
  handler::Io* last_ = nullptr;
};

}  // namespace bulkhead::scsi::testing
