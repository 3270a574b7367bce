#include "handler-host/scsi/unit_state.h"

#include <algorithm>

#include "base/endian.h"

namespace bulkhead::scsi {
namespace {

constexpr std::uint8_t kVersion = 1;
constexpr std::uint8_t kCapacityChanged = 0x01;  // of byte 1
constexpr std::uint8_t kModeParametersChanged = 0x02;
constexpr std::uint8_t kDescriptorSense = 0x04;
constexpr std::uint8_t kSoftwareWriteProtect = 0x08;
constexpr std::uint8_t kLostWrites = 0x10;
constexpr std::uint8_t kInvert = 0x01;  // of byte 7
constexpr std::uint8_t kUnrestrictedExit = 0x02;
constexpr std::uint8_t kMostPasses = 31;  // OVERWRITE COUNT has 5 bits

using Bytes = std::span<const std::uint8_t, LogicalUnit::kStateBytes>;

// A record of nothing has nothing in it.
bool sound(const MediumRecord& job) {
  using Purpose = MediumPlan::Purpose;
  if (job.phase == MediumRecord::Phase::Idle) return job.plan.purpose == Purpose::None;
  return job.phase <= MediumRecord::Phase::Failed && job.plan.purpose > Purpose::None &&
         job.plan.purpose <= Purpose::Format && job.plan.method <= MediumPlan::Method::Clear &&
         job.plan.passes >= 1 && job.plan.passes <= kMostPasses && job.passes_done <= job.plan.passes &&
         job.pattern_bytes <= MediumRecord::kMaxPattern;
}

MediumRecord decode_job(Bytes bytes) {
  MediumRecord job;
  job.plan.purpose = static_cast<MediumPlan::Purpose>(bytes[4]);
  job.phase = static_cast<MediumRecord::Phase>(bytes[5]);
  job.plan.method = static_cast<MediumPlan::Method>(bytes[6]);
  job.plan.invert = (bytes[7] & kInvert) != 0;
  job.plan.unrestricted_exit = (bytes[7] & kUnrestrictedExit) != 0;
  job.plan.passes = bytes[8];
  job.passes_done = bytes[9];
  job.pattern_bytes = bytes[10];
  job.bytes_done = be64(bytes.subspan<32, 8>());
  std::ranges::copy(bytes.subspan<40, MediumRecord::kMaxPattern>(), job.pattern.begin());
  return job;
}

}  // namespace

LogicalUnit::State encode(const UnitState& state) {
  LogicalUnit::State bytes{};
  const std::span<std::uint8_t, LogicalUnit::kStateBytes> out(bytes);
  const MediumRecord& job = state.job;
  out[0] = kVersion;
  out[1] = static_cast<std::uint8_t>((state.capacity_changed ? kCapacityChanged : 0) |
                                     (state.mode_parameters_changed ? kModeParametersChanged : 0) |
                                     (state.descriptor_sense ? kDescriptorSense : 0) |
                                     (state.software_write_protect ? kSoftwareWriteProtect : 0) |
                                     (state.lost_writes ? kLostWrites : 0));
  put_be64(out.subspan<16, 8>(), state.size_bytes);
  put_be64(out.subspan<24, 8>(), state.config_hash);
  if (job.phase == MediumRecord::Phase::Idle) return bytes;
  out[4] = static_cast<std::uint8_t>(job.plan.purpose);
  out[5] = static_cast<std::uint8_t>(job.phase);
  out[6] = static_cast<std::uint8_t>(job.plan.method);
  out[7] = static_cast<std::uint8_t>((job.plan.invert ? kInvert : 0) |
                                     (job.plan.unrestricted_exit ? kUnrestrictedExit : 0));
  out[8] = job.plan.passes;
  out[9] = job.passes_done;
  out[10] = job.pattern_bytes;
  put_be64(out.subspan<32, 8>(), job.bytes_done);
  std::ranges::copy(job.pattern, out.subspan<40, MediumRecord::kMaxPattern>().begin());
  return bytes;
}

std::optional<UnitState> decode_unit_state(std::span<const std::uint8_t> given) {
  if (given.size() != LogicalUnit::kStateBytes || given[0] != kVersion) return std::nullopt;
  const Bytes bytes = given.first<LogicalUnit::kStateBytes>();
  UnitState state;
  state.capacity_changed = (bytes[1] & kCapacityChanged) != 0;
  state.mode_parameters_changed = (bytes[1] & kModeParametersChanged) != 0;
  state.descriptor_sense = (bytes[1] & kDescriptorSense) != 0;
  state.software_write_protect = (bytes[1] & kSoftwareWriteProtect) != 0;
  state.lost_writes = (bytes[1] & kLostWrites) != 0;
  state.size_bytes = be64(bytes.subspan<16, 8>());
  state.config_hash = be64(bytes.subspan<24, 8>());
  state.job = decode_job(bytes);
  if (!sound(state.job)) return std::nullopt;
  return state;
}

// FNV-1a.
std::uint64_t config_hash(std::string_view config) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const char c : config) hash = (hash ^ static_cast<std::uint8_t>(c)) * 0x100000001b3;
  return hash;
}

}  // namespace bulkhead::scsi
