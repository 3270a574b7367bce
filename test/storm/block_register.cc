#include "test/storm/block_register.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"

namespace bulkhead::storm {

BlockRegister::Cluster* BlockRegister::find(Version version) {
  auto found = std::ranges::find(clusters_, version, &Cluster::version);
  return found == clusters_.end() ? nullptr : &*found;
}

void BlockRegister::write_begins(Version version, Instant now) {
  BULKHEAD_CHECK(version > newest_);
  now_ = now;
  newest_ = version;
  ++writes_in_flight_;
  clusters_.push_back({.version = version, .write_began = now, .last_begun = now});
}

void BlockRegister::write_ends(Version version, Instant now) {
  now_ = now;
  --writes_in_flight_;
  last_write_end_ = now;
  if (Cluster* cluster = find(version)) {
    cluster->acknowledged = true;
    cluster->happened = true;
    cluster->known_by = std::min(cluster->known_by, now);
    // A failed write has happened before this one, or it never will.
    for (Cluster& other : clusters_)
      if (other.failed < cluster->write_began)
        other.known_by = std::min(other.known_by, cluster->write_began);
  }
  forget();
}

void BlockRegister::write_fails(Version version, Instant now) {
  now_ = now;
  --writes_in_flight_;
  last_write_end_ = now;
  if (Cluster* cluster = find(version)) cluster->failed = now;
}

void BlockRegister::read_begins(Instant now) {
  now_ = now;
  reads_.push_back(now);
}

void BlockRegister::read_fails(Instant began) {
  auto read = std::ranges::find(reads_, began);
  BULKHEAD_CHECK(read != reads_.end());
  reads_.erase(read);
  forget();
}

std::optional<std::string> BlockRegister::read_ends(Instant began, Version version, Instant now) {
  now_ = now;
  std::optional<std::string> wrong;
  Cluster* cluster = find(version);
  if (version == 0 || version > newest_) {
    wrong = fmt::format("version {} was never written here; expected version {}", version, allowed(began));
  } else if (cluster == nullptr) {
    wrong =
        fmt::format("version {} is back, overwritten long ago; expected version {}", version, allowed(began));
  } else {
    Cluster grown = *cluster;
    grown.happened = true;
    grown.known_by = std::min(grown.known_by, now);
    grown.last_begun = std::max(grown.last_begun, began);
    auto other = std::ranges::find_if(
        clusters_, [&](const Cluster& each) { return &each != cluster && conflict(grown, each); });
    if (other != clusters_.end())
      wrong =
          fmt::format("version {} can't be there, version {} ({}) has replaced it; expected version {}",
                      version, other->version, other->acknowledged ? "acknowledged" : "read", allowed(began));
    else
      *cluster = grown;
  }
  read_fails(began);
  return wrong;
}

bool BlockRegister::written_since(Instant began) const {
  if (writes_in_flight_ > 0 || last_write_end_ > began) return true;
  return std::ranges::any_of(
      clusters_, [](const Cluster& each) { return each.failed != kNever && each.known_by == kNever; });
}

std::string BlockRegister::allowed(Instant began) const {
  std::string text;
  for (const Cluster& each : clusters_) {
    if (successor_before(each, began) != nullptr) continue;
    const char* state = each.acknowledged       ? "acknowledged"
                        : each.failed != kNever ? "failed"
                        : each.happened         ? "in flight, read already"
                                                : "in flight";
    text += fmt::format("{}{} ({})", text.empty() ? "" : " or ", each.version, state);
  }
  return text.empty() ? "nothing" : text;
}

bool BlockRegister::conflict(const Cluster& one, const Cluster& other) {
  if (!one.happened || !other.happened) return false;
  const bool one_certain = one.known_by < one.last_begun;
  const bool other_certain = other.known_by < other.last_begun;
  if (one_certain && other_certain)
    return std::max(one.known_by, other.known_by) < std::min(one.last_begun, other.last_begun);
  // With equality: a failed write is known by the very instant at which the next one began.
  auto inside = [](const Cluster& brief, const Cluster& certain) {
    return certain.known_by <= brief.last_begun && brief.known_by < certain.last_begun;
  };
  if (one_certain) return inside(other, one);
  if (other_certain) return inside(one, other);
  return false;
}

// A version that has certainly replaced this one before `limit`.
const BlockRegister::Cluster* BlockRegister::successor_before(const Cluster& cluster, Instant limit) const {
  auto found = std::ranges::find_if(clusters_, [&](const Cluster& each) {
    return &each != &cluster && each.happened && each.known_by < limit &&
           each.write_began >= cluster.known_by && each.write_began > cluster.last_begun;
  });
  return found == clusters_.end() ? nullptr : &*found;
}

void BlockRegister::forget() {
  // A read that began before the successor was known may still return the old version.
  const Instant oldest_read = reads_.empty() ? now_ + 1 : std::ranges::min(reads_);
  // The successor of one that is forgotten stays: it can only be forgotten for a later one.
  for (std::size_t i = 0; i < clusters_.size();) {
    if (successor_before(clusters_[i], oldest_read) != nullptr)
      clusters_.erase(clusters_.begin() + static_cast<std::ptrdiff_t>(i));
    else
      ++i;
  }
}

}  // namespace bulkhead::storm
