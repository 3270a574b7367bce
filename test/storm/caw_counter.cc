#include "test/storm/caw_counter.h"

#include <fmt/format.h>

namespace bulkhead::storm {
namespace {

bool same(const BlockHeader& one, const BlockHeader& other) {
  return one.run == other.run && one.device == other.device && one.block == other.block &&
         one.version == other.version && one.writer == other.writer;
}

}  // namespace

CawCounter::CawCounter(CounterBlock& disk, BlockHeader where, std::size_t block_bytes)
    : disk_(disk), known_(where), now_(block_bytes), next_(block_bytes) {
  known_.version = 1;
}

std::optional<std::string> CawCounter::begin() {
  write_image(now_, known_);
  if (!disk_.write(now_)) return "the counter can't be written";
  return std::nullopt;
}

std::optional<std::string> CawCounter::settle() {
  read_ = disk_.read(now_);
  if (!read_) {
    ++report_.errors;
    return std::nullopt;
  }
  std::expected<BlockHeader, std::string> found = read_image(now_);
  const std::string expected =
      describe(known_) + (maybe_ ? " or, as the answer left it open, " + describe(*maybe_) : "");
  if (!found) return fmt::format("the counter is {}; expected {}", found.error(), expected);
  if (maybe_ && same(*found, *maybe_)) {
    known_ = *maybe_;
    ++report_.happened;
  }
  maybe_.reset();
  if (!same(*found, known_)) return fmt::format("the counter is {}; expected {}", describe(*found), expected);
  return std::nullopt;
}

std::optional<std::string> CawCounter::step() {
  if (std::optional<std::string> wrong = settle()) return wrong;
  if (!read_) return std::nullopt;
  BlockHeader next = known_;
  ++next.version;
  next.writer = ++attempt_;
  write_image(next_, next);
  switch (disk_.compare_and_write(now_, next_)) {
    case CawAnswer::Done:
      known_ = next;
      ++report_.done;
      return std::nullopt;
    case CawAnswer::Open:
      maybe_ = next;
      ++report_.open;
      return std::nullopt;
    case CawAnswer::Miscompare:
      return fmt::format("MISCOMPARE for what was read just before: {}, attempt {}", describe(known_),
                         attempt_);
    case CawAnswer::Refused:
      break;
  }
  return "COMPARE AND WRITE is refused";
}

}  // namespace bulkhead::storm
