#include "handler-host/scsi/copy/rod_tokens.h"

#include <algorithm>

#include "base/error.h"

namespace bulkhead::scsi {

RodTokens::State RodTokens::state_of(const Entry& entry, Time now) {
  if (!entry.known) return State::Unknown;
  if (entry.revoked) return State::Revoked;
  return entry.users == 0 && entry.last_used + entry.inactivity_timeout <= now ? State::Expired
                                                                               : State::Valid;
}

void RodTokens::forget(Entry& entry) {
  if (entry.known && !entry.revoked) --valid_;
  entry.known = false;
  entry.revoked = true;  // nobody watches its blocks any more, for whoever uses it still
}

bool RodTokens::add(const RodToken& token, std::span<const BlockRange> blocks,
                    std::chrono::seconds inactivity_timeout, Time now) {
  BULKHEAD_CHECK(blocks.size() <= kMaxRanges);
  // A token that is of no use any more goes first; else the one that was not used for longest.
  const auto worth = [now](const Entry& entry) {
    return std::pair(state_of(entry, now) == State::Valid, entry.last_used);
  };
  Entry* place = nullptr;
  for (Entry& entry : entries_) {
    if (entry.users > 0) continue;
    if (place == nullptr || worth(entry) < worth(*place)) place = &entry;
  }
  if (place == nullptr) return false;
  forget(*place);
  *place = Entry{.token = token,
                 .range_count = blocks.size(),
                 .known = true,
                 .inactivity_timeout = inactivity_timeout,
                 .last_used = now};
  std::ranges::copy(blocks, place->ranges.begin());
  ++valid_;
  return true;
}

RodTokens::Found RodTokens::find(std::span<const std::uint8_t, kRodTokenBytes> token, Time now) const {
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    if (!entries_[i].known || !std::ranges::equal(entries_[i].token, token)) continue;
    return {state_of(entries_[i], now), static_cast<Place>(i)};
  }
  return {};
}

void RodTokens::use(Place place) {
  BULKHEAD_CHECK(entries_.at(place).known);
  ++entries_[place].users;
}

void RodTokens::release(Place place, Afterwards afterwards, Time now) {
  Entry& entry = entries_.at(place);
  BULKHEAD_CHECK(entry.users > 0);
  --entry.users;
  entry.last_used = now;
  if (afterwards == Afterwards::Delete) forget(entry);
}

std::uint64_t RodTokens::blocks(Place place) const {
  std::uint64_t count = 0;
  for (const BlockRange& range : ranges_of(entries_.at(place))) count += range.end - range.first;
  return count;
}

BlockRange RodTokens::run(Place place, std::uint64_t offset) const {
  for (const BlockRange& range : ranges_of(entries_.at(place))) {
    const std::uint64_t count = range.end - range.first;
    if (offset < count) return {range.first + offset, range.end};
    offset -= count;
  }
  return {};
}

bool RodTokens::overlaps(Place place, const BlockRange& blocks) const {
  return std::ranges::any_of(ranges_of(entries_.at(place)),
                             [&](const BlockRange& range) { return range.overlaps(blocks); });
}

void RodTokens::revoke(const BlockRange& blocks) {
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    Entry& entry = entries_[i];
    if (!entry.known || entry.revoked || !overlaps(static_cast<Place>(i), blocks)) continue;
    entry.revoked = true;
    --valid_;
  }
}

}  // namespace bulkhead::scsi
