// ROD tokens: names for what some blocks of this unit hold, until they change (SPC-4, "Representation of data
// (ROD)", "ROD tokens"; SBC-4, "Token operations").
//
// A token of type "point in time copy - change vulnerable" promises that whoever uses it gets the data that
// the blocks held when it was made, or nothing. There is no snapshot behind it: it stands for the blocks
// themselves, and the first operation that may change one of them revokes it. So every change has to pass
// changed() before it starts; with no token alive that is one comparison.
//
// Tokens die with the host process, and when a younger one needs their place (the one that was not used for
// longest goes). Whoever has such a token is told so and reads and writes instead. A token gives no right
// that READ on this unit does not give, but nobody can make one up: what is not told in the standard's fields
// is random.
//
// Threads: one. Memory: a fixed table. Time is handed in.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "handler-host/scsi/range_lock.h"

namespace bulkhead::scsi {

inline constexpr std::size_t kRodTokenBytes = 512;
using RodToken = std::array<std::uint8_t, kRodTokenBytes>;
// Of each token, the part that REPORT ALL ROD TOKENS shows.
inline constexpr std::size_t kManagementTokenBytes = 96;

inline constexpr std::uint32_t kChangeVulnerableRod = 0x00800001;
inline constexpr std::uint32_t kAnyPointInTimeRod = 0x0080ffff;  // in requests: whichever type there is
inline constexpr std::uint32_t kBlockZeroRod = 0xffff0001;       // as many zeroes as one likes (SBC-4)

class RodTokens {
 public:
  using Time = std::chrono::steady_clock::time_point;

  static constexpr std::size_t kCapacity = 16;
  static constexpr std::size_t kMaxRanges = 32;

  using Place = std::uint32_t;
  enum class State : std::uint8_t { Unknown, Valid, Revoked, Expired };
  struct Found {
    State state = State::Unknown;
    Place place = 0;  // if it is valid
  };

  // A token for these blocks, in this order; nobody changes them meanwhile. False: all places are in use.
  [[nodiscard]] bool add(const RodToken& token, std::span<const BlockRange> blocks,
                         std::chrono::seconds inactivity_timeout, Time now);
  [[nodiscard]] Found find(std::span<const std::uint8_t, kRodTokenBytes> token, Time now) const;

  // What it stands for, while it is in use: it stays in its place between the two, but it may be revoked.
  void use(Place place);
  enum class Afterwards : std::uint8_t { Keep, Delete };
  void release(Place place, Afterwards afterwards, Time now);
  [[nodiscard]] bool revoked(Place place) const { return entries_.at(place).revoked; }
  [[nodiscard]] std::uint64_t blocks(Place place) const;
  // The blocks from the `offset`th on, as far as they lie together on the medium; empty beyond the last.
  [[nodiscard]] BlockRange run(Place place, std::uint64_t offset) const;
  [[nodiscard]] bool overlaps(Place place, const BlockRange& blocks) const;

  // Something may change these blocks from now on.
  void changed(const BlockRange& blocks) {
    if (valid_ != 0) revoke(blocks);
  }
  void revoke_all() { changed(BlockRange{0, ~std::uint64_t{0}}); }

  // There is none that a change could revoke.
  [[nodiscard]] bool none() const { return valid_ == 0; }

  // Of the valid ones, the oldest place first.
  template <class Visit>
  void for_each_valid(Time now, Visit visit) const {
    for (const Entry& entry : entries_)
      if (state_of(entry, now) == State::Valid) visit(entry.token);
  }

 private:
  struct Entry {
    RodToken token{};
    std::array<BlockRange, kMaxRanges> ranges{};
    std::size_t range_count = 0;
    bool known = false;
    bool revoked = false;
    std::uint32_t users = 0;
    std::chrono::seconds inactivity_timeout{};
    Time last_used{};
  };
  [[nodiscard]] static State state_of(const Entry& entry, Time now);
  [[nodiscard]] static std::span<const BlockRange> ranges_of(const Entry& entry) {
    return std::span(entry.ranges).first(entry.range_count);
  }
  void revoke(const BlockRange& blocks);
  void forget(Entry& entry);

  std::array<Entry, kCapacity> entries_{};
  std::size_t valid_ = 0;  // known and not revoked
};

}  // namespace bulkhead::scsi
