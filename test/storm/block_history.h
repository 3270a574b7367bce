// The last events of one block, for the report of what went wrong with it. A ring: recording allocates once.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "test/storm/block_register.h"

namespace bulkhead::storm {

enum class EventKind : std::uint8_t { WriteBegins, WriteEnds, WriteFails, ReadBegins, ReadEnds, ReadFails };

struct Event {
  EventKind kind = EventKind::ReadBegins;
  std::uint16_t writer = 0;
  Version version = 0;  // of a read: once it has ended
  Instant instant = 0;
  std::int64_t microseconds = 0;  // of the wall clock, since the epoch
};

class BlockHistory {
 public:
  void add(const Event& event) {
    events_[count_ % events_.size()] = event;
    ++count_;
  }
  // One line per event, oldest first.
  [[nodiscard]] std::string text() const;

 private:
  std::array<Event, 24> events_{};
  std::size_t count_ = 0;
};

// Like 18:25:43.120033, UTC, as the journal can show it.
[[nodiscard]] std::string clock_text(std::int64_t microseconds);
[[nodiscard]] std::int64_t wall_microseconds();

}  // namespace bulkhead::storm
