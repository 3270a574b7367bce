// Watches the room behind a thin unit and warns initiators once when it becomes scarce.
// Source: SBC-4, "Logical block provisioning thresholds", "Logical Block Provisioning mode page".
//
// There is one threshold, an armed decreasing one over the available LBA mapping resource: a tenth of the
// unit's capacity. It is reached when less than half a threshold set below it is left, and armed again when
// there is half a set more than it. What the standard does not have: room that suffices for every block the
// unit has not got yet never counts as scarce, for such a unit can't run out. Else each preallocated image on
// a well-filled disk would raise the alarm.
//
// Asked for rarely and by a timer, so the data path knows nothing of it. Threads: the host's loop thread.
#pragma once

#include <cstdint>

#include "base/quantity.h"
#include "handler-host/api/handler.h"
#include "handler-host/scsi/threshold_sets.h"

namespace bulkhead::scsi {

class Unit;

class ThresholdWatch final : private handler::Io {
 public:
  static constexpr std::uint32_t kIntervalMs = 30'000;

  explicit ThresholdWatch(Unit& unit) : unit_(unit) {}
  ThresholdWatch(const ThresholdWatch&) = delete;
  ThresholdWatch& operator=(const ThresholdWatch&) = delete;

  // Does nothing for a unit without thresholds.
  void start();

 private:
  void look_later();
  void look();
  void done(handler::IoStatus status) noexcept override;
  void judge();
  [[nodiscard]] bool suffices() const;

  Unit& unit_;
  handler::Space space_;
  bool armed_ = true;
};

// THRESHOLD COUNT: the threshold, in sets.
[[nodiscard]] std::uint32_t default_threshold(const ThresholdSets& sets, ByteCount unit_size);

}  // namespace bulkhead::scsi
