// The unit attention conditions of a logical unit: a set, told one after the other.
// Source: SAM-5, "Unit attention conditions".
#pragma once

#include <cstdint>
#include <optional>
#include <utility>

#include "handler-host/scsi/sense.h"

namespace bulkhead::scsi {

// In the order in which they are told: what a driver must know to use the unit rightly goes first.
enum class Condition : std::uint8_t {
  CapacityDataHasChanged,
  ModeParametersChanged,
  SoftThresholdReached,
};

// TCMU tells no initiator from another, so each condition is told once. One that is established again before
// it was told is one still. The host may die between taking a condition and publishing the answer that tells
// it; the next one then tells it to the replayed command, since it was to be remembered still. Between
// publishing and the word that the answer is out it may die too: told twice then, rather than never.
// Threads: one.
class Attentions {
 public:
  void establish(Condition condition) { pending_ |= bit(condition); }
  void withdraw(Condition condition) { pending_ &= ~bit(condition); }
  [[nodiscard]] bool any() const { return pending_ != 0; }
  // The one that the next command tells; stays until clear_first().
  [[nodiscard]] std::optional<Sense> first() const;
  void clear_first() {
    being_told_ |= pending_ & ~(pending_ - 1);
    pending_ &= pending_ - 1;
  }
  // All answers that were given are out. True: to_be_remembered() may have changed.
  bool answers_are_out() { return std::exchange(being_told_, 0u) != 0; }
  // Is the next host to tell it?
  [[nodiscard]] bool to_be_remembered(Condition condition) const {
    return ((pending_ | being_told_) & bit(condition)) != 0;
  }

 private:
  static constexpr std::uint32_t bit(Condition condition) { return 1u << std::to_underlying(condition); }

  std::uint32_t pending_ = 0;
  std::uint32_t being_told_ = 0;
};

}  // namespace bulkhead::scsi
