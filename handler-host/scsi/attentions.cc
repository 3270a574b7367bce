#include "handler-host/scsi/attentions.h"

#include <array>
#include <bit>

namespace bulkhead::scsi {
namespace {

// By Condition.
constexpr std::array kCodes{
    asc::kCapacityDataHasChanged,
    asc::kModeParametersChanged,
    asc::kSoftThresholdReached,
};

}  // namespace

std::optional<Sense> Attentions::first() const {
  if (pending_ == 0) return std::nullopt;
  return Sense{SenseKey::UnitAttention, kCodes[static_cast<std::size_t>(std::countr_zero(pending_))]};
}

}  // namespace bulkhead::scsi
