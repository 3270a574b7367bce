#include "handler-host/scsi/testing/memory_device.h"

#include <algorithm>
#include <ostream>

#include "base/error.h"

namespace bulkhead::scsi::testing {

using handler::Durability;
using handler::IoStatus;

std::ostream& operator<<(std::ostream& out, const Op& op) {
  constexpr const char* kNames[] = {"read",         "write",        "flush", "discard",
                                    "write_zeroes", "provisioning", "space"};
  out << kNames[static_cast<std::size_t>(op.kind)] << " of " << op.bytes << " bytes at " << op.at;
  return op.durability == Durability::Durable ? out << ", durable" : out;
}

MemoryDevice::MemoryDevice(ByteCount size, std::uint32_t block_bytes, handler::Geometry geometry)
    : bytes(size.value),
      mapped(size.value / block_bytes, true),
      block_bytes_(block_bytes),
      geometry_(geometry) {
  geometry_.size = size;
}

MemoryDevice::~MemoryDevice() {
  BULKHEAD_CHECK(held_.empty());
}

void MemoryDevice::check(const Op& op) const {
  if (op.kind == OpKind::Flush || op.kind == OpKind::Space) return;
  BULKHEAD_CHECK(op.bytes > 0 && op.at % block_bytes_ == 0 && op.bytes % block_bytes_ == 0);
  BULKHEAD_CHECK(op.at <= bytes.size() && op.bytes <= bytes.size() - op.at);
  if (op.kind == OpKind::Read || op.kind == OpKind::Provisioning) return;
  for (const Held& other : held_) {
    if (other.op.kind == OpKind::Read || other.op.kind == OpKind::Flush) continue;
    if (other.op.kind == OpKind::Provisioning || other.op.kind == OpKind::Space) continue;
    // No two changes under way overlap.
    BULKHEAD_CHECK(other.op.at + other.op.bytes <= op.at || op.at + op.bytes <= other.op.at);
  }
}

void MemoryDevice::begin(Held held) {
  check(held.op);
  if (on_begin) on_begin(held.op);
  ops.push_back(held.op);
  held_.push_back(held);
  if (!holding_) finish(held_.size() - 1);
}

void MemoryDevice::finish(std::size_t index, std::optional<IoStatus> status) {
  BULKHEAD_CHECK(index < held_.size());
  const Held held = held_[index];
  held_.erase(held_.begin() + static_cast<std::ptrdiff_t>(index));
  last_ = held.io;
  held.io->done(status ? *status : perform(held));
}

void MemoryDevice::finish_all() {
  while (!held_.empty()) finish();
}

IoStatus MemoryDevice::perform(const Held& held) {
  const auto outcome = outcomes_.find(held.op.kind);
  if (outcome != outcomes_.end() && outcome->second != IoStatus::Ok) return outcome->second;
  if (held.op.kind == OpKind::Flush) return IoStatus::Ok;
  if (held.op.kind == OpKind::Space) {
    *held.space = *room;
    return IoStatus::Ok;
  }
  const auto range = std::span(bytes).subspan(held.op.at, held.op.bytes);
  switch (held.op.kind) {
    case OpKind::Read:
      std::ranges::copy(range, held.into.begin());
      break;
    case OpKind::Write:
      std::ranges::copy(held.from, range.begin());
      set_mapped(held.op, true);
      break;
    case OpKind::Discard:
      std::ranges::fill(range, geometry_.discard_zeroes ? std::byte{0} : kDiscarded);
      set_mapped(held.op, false);
      break;
    case OpKind::WriteZeroes:
      std::ranges::fill(range, std::byte{0});
      set_mapped(held.op, true);
      break;
    case OpKind::Provisioning:
      *held.run = run_of(held.op);
      break;
    case OpKind::Flush:
    case OpKind::Space:
      break;
  }
  return IoStatus::Ok;
}

void MemoryDevice::read(ByteOffset from, std::span<std::byte> into, handler::Io& io) {
  begin({{OpKind::Read, from.value, into.size()}, into, {}, &io});
}

void MemoryDevice::write(ByteOffset to, std::span<const std::byte> from, Durability durability,
                         handler::Io& io) {
  begin({{OpKind::Write, to.value, from.size(), durability}, {}, from, &io});
}

void MemoryDevice::flush(handler::Io& io) {
  begin({{OpKind::Flush}, {}, {}, &io});
}

void MemoryDevice::discard(ByteOffset at, ByteCount length, handler::Io& io) {
  begin({{OpKind::Discard, at.value, length.value}, {}, {}, &io});
}

void MemoryDevice::write_zeroes(ByteOffset at, ByteCount length, Durability durability, handler::Io& io) {
  begin({{OpKind::WriteZeroes, at.value, length.value, durability}, {}, {}, &io});
}

void MemoryDevice::provisioning(ByteOffset from, ByteCount length, handler::Run& run, handler::Io& io) {
  begin({{OpKind::Provisioning, from.value, length.value}, {}, {}, &io, &run});
}

void MemoryDevice::space(handler::Space& space, handler::Io& io) {
  if (!room) return io.done(IoStatus::NotSupported);
  begin({{OpKind::Space}, {}, {}, &io, nullptr, &space});
}

void MemoryDevice::set_mapped(const Op& op, bool is) {
  const auto first = mapped.begin() + static_cast<std::ptrdiff_t>(op.at / block_bytes_);
  std::fill_n(first, op.bytes / block_bytes_, is);
}

handler::Run MemoryDevice::run_of(const Op& op) const {
  const bool first = mapped[op.at / block_bytes_];
  std::uint64_t length = block_bytes_;
  const std::uint64_t limit = std::min(op.bytes, longest_run);
  while (length < limit && mapped[(op.at + length) / block_bytes_] == first) length += block_bytes_;
  return {first ? handler::Provisioning::Mapped : handler::Provisioning::Deallocated, {length}};
}

Result<> MemoryDevice::resize(ByteCount size) {
  bytes.resize(size.value);
  mapped.resize(size.value / block_bytes_, true);
  geometry_.size = size;
  return {};
}

}  // namespace bulkhead::scsi::testing
