#include "handler-host/scsi/copy/copy_results.h"

#include <algorithm>

#include "base/error.h"

namespace bulkhead::scsi {

std::optional<CopyResults::Place> CopyResults::begin(std::uint32_t list_id, std::uint8_t service_action,
                                                     Time now) {
  Entry* free = nullptr;
  for (Entry& entry : entries_) {
    if (over(entry) && (entry.result.list_id == list_id || entry.held_until <= now)) entry.used = false;
    if (!entry.used) free = &entry;
  }
  if (free == nullptr) {
    for (Entry& entry : entries_)
      if (over(entry) && (free == nullptr || entry.held_until < free->held_until)) free = &entry;
  }
  if (free == nullptr) return std::nullopt;
  *free = Entry{.result = {.list_id = list_id,
                           .service_action = service_action,
                           .sense = std::nullopt,
                           .token = std::nullopt},
                .used = true,
                .age = ++begun_};
  return static_cast<Place>(free - entries_.data());
}

void CopyResults::progress(Place place, std::uint64_t bytes, std::uint16_t segments) {
  if (place == kNowhere) return;
  CopyResult& result = entries_.at(place).result;
  result.bytes = bytes;
  result.segments = segments;
}

void CopyResults::end(Place place, const std::optional<Sense>& failure, Time now, std::chrono::seconds held) {
  if (place == kNowhere) return;
  Entry& entry = entries_.at(place);
  BULKHEAD_CHECK(entry.used && !over(entry));
  entry.result.state = failure ? CopyResult::State::Failed : CopyResult::State::Completed;
  entry.result.sense = failure;
  entry.held_until = now + held;
}

void CopyResults::give_token(Place place, const RodToken& token) {
  entries_.at(place).result.token = token;
}

void CopyResults::drop(Place place) {
  if (place != kNowhere) entries_.at(place).used = false;
}

const CopyResult* CopyResults::find(std::uint32_t list_id, Time now) const {
  const Entry* found = nullptr;
  for (const Entry& entry : entries_) {
    if (!entry.used || entry.result.list_id != list_id) continue;
    if (over(entry) && entry.held_until <= now) continue;
    if (found == nullptr || entry.age > found->age) found = &entry;
  }
  return found == nullptr ? nullptr : &found->result;
}

void CopyResults::forget(const CopyResult& result) {
  for (Entry& entry : entries_) {
    if (&entry.result != &result) continue;
    BULKHEAD_CHECK(over(entry));
    entry.used = false;
  }
}

}  // namespace bulkhead::scsi
