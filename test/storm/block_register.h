// One block of a disk as a linearizable register: told of every read and write of the block, it says whether
// some order of them, each at one instant between its begin and its end, explains what the reads returned.
//
// All writes of a block carry different versions, so the test is exact and cheap (Gibbons and Korach,
// "Testing Shared Memories", 1997): the write of a version and all reads of it are a cluster; some operation
// of it has ended by `known_by` and all have begun by `last_begun`. known_by < last_begun: the block held
// this version from the one to the other, for certain. Two such certain times must not overlap. Otherwise the
// version was there for an instant between last_begun and known_by: that must not lie wholly inside the
// certain time of another one.
//
// A write that failed may have happened or not, but at the latest when the next write that began after the
// failure began: a late one would undo a write that was acknowledged.
//
// Threads: one. Versions that no read can return any more are forgotten, so the size follows from what is in
// flight.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

namespace bulkhead::storm {

using Version = std::uint64_t;  // never 0
using Instant = std::uint64_t;  // the caller's clock of events: no two events of a block at the same instant

class BlockRegister {
 public:
  void write_begins(Version version, Instant now);
  void write_ends(Version version, Instant now);   // acknowledged
  void write_fails(Version version, Instant now);  // whether it happened is not known

  // A read is known by the instant it began.
  void read_begins(Instant now);
  void read_fails(Instant began);
  // The read has returned this version. The text says what is wrong with that; nullopt: nothing.
  [[nodiscard]] std::optional<std::string> read_ends(Instant began, Version version, Instant now);

  // Whether a write of the block was under way, or may have been, at some time since `began`. What a read
  // returns then may be part old and part new.
  [[nodiscard]] bool written_since(Instant began) const;

  // For people: the versions that a read may return that began then and ends now.
  [[nodiscard]] std::string allowed(Instant began) const;

  [[nodiscard]] std::size_t clusters() const { return clusters_.size(); }

 private:
  static constexpr Instant kNever = std::numeric_limits<Instant>::max();

  struct Cluster {
    Version version = 0;
    Instant write_began = 0;
    Instant known_by = kNever;
    Instant last_begun = 0;
    Instant failed = kNever;  // when the write failed
    bool acknowledged = false;
    bool happened = false;  // acknowledged or read
  };

  [[nodiscard]] Cluster* find(Version version);
  [[nodiscard]] static bool conflict(const Cluster& one, const Cluster& other);
  [[nodiscard]] const Cluster* successor_before(const Cluster& cluster, Instant limit) const;
  void forget();

  std::vector<Cluster> clusters_;
  std::vector<Instant> reads_;  // in flight: when they began
  Version newest_ = 0;          // of those that began to be written
  unsigned writes_in_flight_ = 0;
  Instant last_write_end_ = 0;
  Instant now_ = 0;
};

}  // namespace bulkhead::storm
