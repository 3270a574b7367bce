#include "handler-host/scsi/testing/memory_device.h"

#include <algorithm>
#include <ostream>

#include "base/error.h"

namespace bulkhead::scsi::testing {

using handler::Durability;
using handler::IoStatus;

std::ostream& operator<<(std::ostream& out, const Op& op) {
  constexpr const char* kNames[] = {"read", "write", "flush", "discard", "write_zeroes"};
  out << kNames[static_cast<std::size_t>(op.kind)] << " of " << op.bytes << " bytes at " << op.at;
  return op.durability == Durability::Durable ? out << ", durable" : out;
}

MemoryDevice::MemoryDevice(ByteCount size, std::uint32_t block_bytes, handler::Geometry geometry)
    : bytes(size.value), block_bytes_(block_bytes), geometry_(geometry) {
  geometry_.size = size;
}

MemoryDevice::~MemoryDevice() {
  BULKHEAD_CHECK(held_.empty());
}

void MemoryDevice::check(const Op& op) const {
  if (op.kind == OpKind::Flush) return;
  BULKHEAD_CHECK(op.bytes > 0 && op.at % block_bytes_ == 0 && op.bytes % block_bytes_ == 0);
  BULKHEAD_CHECK(op.at <= bytes.size() && op.bytes <= bytes.size() - op.at);
  if (op.kind == OpKind::Read) return;
  for (const Held& other : held_) {
    if (other.op.kind == OpKind::Read || other.op.kind == OpKind::Flush) continue;
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
  const auto range = std::span(bytes).subspan(held.op.at, held.op.bytes);
  switch (held.op.kind) {
    case OpKind::Read:
      std::ranges::copy(range, held.into.begin());
      break;
    case OpKind::Write:
      std::ranges::copy(held.from, range.begin());
      break;
    case OpKind::Discard:
      std::ranges::fill(range, geometry_.discard_zeroes ? std::byte{0} : kDiscarded);
      break;
    case OpKind::WriteZeroes:
      std::ranges::fill(range, std::byte{0});
      break;
    case OpKind::Flush:
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

Result<> MemoryDevice::resize(ByteCount size) {
  bytes.resize(size.value);
  geometry_.size = size;
  return {};
}

}  // namespace bulkhead::scsi::testing
