#include "handler-host/scsi/threshold_watch.h"

#include <fmt/format.h>

#include <algorithm>

#include "handler-host/scsi/unit.h"

namespace bulkhead::scsi {

std::uint32_t default_threshold(const ThresholdSets& sets, ByteCount unit_size) {
  return std::max(sets.count({unit_size.value / 10}), 1u);
}

void ThresholdWatch::start() {
  if (unit_.has_thresholds()) look_later();
}

void ThresholdWatch::look_later() {
  unit_.services().after(kIntervalMs, [this] { look(); });
}

void ThresholdWatch::look() {
  unit_.operation_begins();
  unit_.device().space(space_, *this);
}

void ThresholdWatch::done(handler::IoStatus status) noexcept {
  unit_.command_over();
  // A back end that can't say it now may say it the next time.
  if (status == handler::IoStatus::Ok) judge();
  look_later();
}

bool ThresholdWatch::suffices() const {
  const std::uint64_t size = unit_.parameters().size.value;
  const std::uint64_t missing = size - std::min(size, space_.used.value);
  return space_.available.value >= missing;
}

void ThresholdWatch::judge() {
  const ThresholdSets sets = unit_.threshold_sets();
  const std::uint64_t half = sets.set_bytes() / 2;
  const std::uint64_t centre = default_threshold(sets, unit_.parameters().size) * sets.set_bytes();
  const std::uint64_t available = space_.available.value;
  if (suffices() || available > centre + half) {
    if (!armed_) unit_.services().log(handler::LogLevel::Info, "there is enough room behind the LUN again");
    armed_ = true;
    // Initiators that were not told yet need not know.
    unit_.attentions().withdraw(Condition::SoftThresholdReached);
    return;
  }
  if (!armed_ || available >= centre - half) return;
  armed_ = false;
  unit_.attentions().establish(Condition::SoftThresholdReached);
  unit_.services().log(
      handler::LogLevel::Warning,
      fmt::format("{} bytes are left behind this LUN, which could take {} more: initiators are warned (THIN "
                  "PROVISIONING SOFT THRESHOLD REACHED); free some space there, or let them unmap blocks",
                  available, unit_.parameters().size.value - space_.used.value));
}

}  // namespace bulkhead::scsi
