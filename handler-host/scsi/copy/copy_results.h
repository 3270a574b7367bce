// What became of third-party copy commands, by their list identifier, for the RECEIVE COPY STATUS family of
// commands (SPC-4, "Third-party copy commands and the list identifier").
//
// A result is there from the start of its command and is held for a while after its end, unless a command
// with the same identifier takes its place. TCMU tells no initiator from another, so two initiators that use
// one identifier see the result of the younger command; nobody is refused because of the other's identifier,
// which SPC-4 would have only for identifiers of one and the same initiator.
//
// Threads: one. Memory: a fixed table. Time is handed in.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "handler-host/scsi/copy/rod_tokens.h"
#include "handler-host/scsi/sense.h"

namespace bulkhead::scsi {

struct CopyResult {
  enum class State : std::uint8_t { InProgress, Completed, Failed };
  std::uint32_t list_id = 0;
  std::uint8_t service_action = 0;  // of the command
  State state = State::InProgress;
  std::uint64_t bytes = 0;        // written so far
  std::uint16_t segments = 0;     // begun so far
  std::optional<Sense> sense;     // why it failed
  std::optional<RodToken> token;  // what POPULATE TOKEN made
};

class CopyResults {
 public:
  using Time = std::chrono::steady_clock::time_point;

  // Identifiers of one byte are soon used again, also by other initiators, and whoever wants to know asks at
  // once: rather no answer than an old one. (SPC-4 would end it with the I_T nexus, of which TCMU tells
  // nothing; iscsi-test-cu uses one identifier throughout and wants it unknown in a later test.)
  static constexpr std::chrono::seconds kHeldShort{2};
  static constexpr std::chrono::seconds kHeldLong{60};
  // Copies with an identifier that can be under way at once.
  static constexpr std::uint8_t kCapacity = 16;

  // Its place while a command is under way. Commands without an identifier have kNowhere, where nothing is
  // kept.
  using Place = std::uint32_t;
  static constexpr Place kNowhere = kCapacity;

  // Makes room by forgetting what ended first. nullopt: as many are under way as there is room for.
  [[nodiscard]] std::optional<Place> begin(std::uint32_t list_id, std::uint8_t service_action, Time now);
  void progress(Place place, std::uint64_t bytes, std::uint16_t segments);
  // Held for `held` after `now`.
  void end(Place place, const std::optional<Sense>& failure, Time now, std::chrono::seconds held);

  void give_token(Place place, const RodToken& token);
  // The command is to be repeated: as if it had not begun.
  void drop(Place place);

  // The youngest one of this identifier; nullptr: none is known (any more).
  [[nodiscard]] const CopyResult* find(std::uint32_t list_id, Time now) const;
  // What was told need not be held longer. `result` is one that find() gave, and is over.
  void forget(const CopyResult& result);

 private:
  struct Entry {
    CopyResult result;
    bool used = false;
    std::uint64_t age = 0;  // in order of begin()
    Time held_until{};
  };
  [[nodiscard]] static bool over(const Entry& entry) {
    return entry.used && entry.result.state != CopyResult::State::InProgress;
  }

  std::array<Entry, kCapacity> entries_{};
  std::uint64_t begun_ = 0;
};

}  // namespace bulkhead::scsi
