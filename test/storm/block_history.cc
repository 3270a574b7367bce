#include "test/storm/block_history.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

namespace bulkhead::storm {
namespace {

const char* words(EventKind kind) {
  switch (kind) {
    case EventKind::WriteBegins:
      return "write begins";
    case EventKind::WriteEnds:
      return "write acknowledged";
    case EventKind::WriteFails:
      return "write failed";
    case EventKind::ReadBegins:
      return "read begins";
    case EventKind::ReadEnds:
      return "read returns";
    case EventKind::ReadFails:
      return "read failed";
  }
  return "?";
}

}  // namespace

std::string BlockHistory::text() const {
  std::string lines;
  for (std::size_t i = count_ - std::min(count_, events_.size()); i < count_; ++i) {
    const Event& event = events_[i % events_.size()];
    lines += fmt::format("  {} #{} slot {}: {}", clock_text(event.microseconds), event.instant, event.writer,
                         words(event.kind));
    if (event.version != 0) lines += fmt::format(", version {}", event.version);
    lines += '\n';
  }
  return lines;
}

std::string clock_text(std::int64_t microseconds) {
  const std::int64_t of_day = microseconds % (86'400 * INT64_C(1'000'000));
  const std::int64_t seconds = of_day / 1'000'000;
  return fmt::format("{:02}:{:02}:{:02}.{:06}", seconds / 3600, seconds / 60 % 60, seconds % 60,
                     of_day % 1'000'000);
}

std::int64_t wall_microseconds() {
  auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::microseconds>(now).count();
}

}  // namespace bulkhead::storm
