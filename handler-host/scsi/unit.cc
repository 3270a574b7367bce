#include "handler-host/scsi/unit.h"

#include <algorithm>
#include <bit>
#include <limits>
#include <utility>

#include "base/error.h"
#include "handler-host/scsi/unit_state.h"

namespace bulkhead::scsi {
namespace {

// What one borrowed buffer takes: enough that a WRITE SAME of a pattern is not all overhead, little enough to
// be locked in memory by every host.
constexpr std::size_t kScratchBytes = 128 * 1024;
constexpr std::size_t kScratchAlignment = 4096;

// A copy reads and writes in turn, so each turn should be worth it. Never touched here, and memory is locked
// when it is first touched (MCL_ONFAULT): it costs a host nothing until the first copy.
constexpr std::size_t kCopyBytes = 512 * 1024;

// One WRITE SAME may have to write all of its blocks: a fraction of a second's work for a slow disk, far from
// the kernel's time-out of a command (30 s). And no more than one WRITE carries: iscsi-test-cu takes the two
// limits for one.
constexpr std::uint64_t kMaxWriteSameBytes = 16 * 1024 * 1024;

// iscsi-test-cu calls more than that "insanely big"; in bytes 512 MiB, or 4 GiB with blocks of 4 KiB.
constexpr std::uint32_t kMaxUnmapBlocks = 1024 * 1024;

// What every disk writes in one piece when the power fails, however little its back end knows of it.
constexpr std::uint32_t kSectorBytes = 512;

// All that the field of VPD B0h holds, and the CDB's.
constexpr std::uint32_t kMaxCompareAndWriteBlocks = 255;

std::uint32_t to_blocks(std::uint64_t bytes, unsigned shift) {
  return static_cast<std::uint32_t>(
      std::min<std::uint64_t>(bytes >> shift, std::numeric_limits<std::uint32_t>::max()));
}

// The smaller of two limits of which 0 says "none".
std::uint32_t tighter(std::uint32_t a, std::uint32_t b) {
  if (a == 0 || b == 0) return std::max(a, b);
  return std::min(a, b);
}

}  // namespace

Unit::Unit(handler::Device& device, handler::Services& services, IdentitySource& identity,
           Parameters parameters, const DeviceType& type)
    : device_(device),
      services_(services),
      identity_(identity),
      parameters_(std::move(parameters)),
      type_(type),
      block_shift_(static_cast<unsigned>(std::countr_zero(parameters_.block_bytes))),
      config_hash_(config_hash(parameters_.config)),
      geometry_(device.geometry()),
      scratch_bytes_(std::max<std::size_t>(kScratchBytes, parameters_.block_bytes)),
      scratch_(static_cast<std::byte*>(std::aligned_alloc(kScratchAlignment, scratch_bytes_))),
      copy_bytes_(std::max<std::size_t>(kCopyBytes, parameters_.block_bytes)),
      copy_buffer_(static_cast<std::byte*>(std::aligned_alloc(kScratchAlignment, copy_bytes_))),
      tasks_(std::make_unique<Task[]>(parameters_.max_commands)) {
  BULKHEAD_CHECK(std::has_single_bit(parameters_.block_bytes) && parameters_.block_bytes >= 512);
  BULKHEAD_CHECK(scratch_ != nullptr && copy_buffer_ != nullptr);
  for (std::uint32_t i = parameters_.max_commands; i-- > 0;) {
    tasks_[i].bind(*this);
    give_back(tasks_[i]);
  }
  threshold_watch_.start();
}

Unit::~Unit() {
  BULKHEAD_CHECK(under_way_ == 0);
}

Task* Unit::take_task() {
  if (free_tasks_ == nullptr) return nullptr;
  return std::exchange(free_tasks_, free_tasks_->next_free);
}

void Unit::give_back(Task& task) {
  task.next_free = std::exchange(free_tasks_, &task);
}

void Unit::execute(Command& command) {
  Task* task = take_task();
  if (task == nullptr) {
    command.complete(status_reply(Status::TaskSetFull));
    return;
  }
  commanded_ = true;
  ++under_way_;
  task->start(command);
}

bool Unit::abort(Command& command) {
  for (Task& task : std::span(tasks_.get(), parameters_.max_commands))
    if (task.serves(command)) return task.abort();
  return false;
}

void Unit::resized(ByteCount size) {
  geometry_ = device_.geometry();
  if (size == parameters_.size) return;
  parameters_.size = size;
  rod_tokens_.revoke_all();  // blocks that were gone for a while may have come back empty
  attentions_.establish(Condition::CapacityDataHasChanged);
}

// A fresh host is told what its predecessor had before its first command: no initiator sees a change.
void Unit::mode_parameters_changed() {
  if (commanded_) attentions_.establish(Condition::ModeParametersChanged);
}

// Not before the first command of all: it may have a unit attention to tell, and a host that nobody has asked
// anything may be told the mode parameters of its predecessor without telling of a change.
// While a loss is to be told the next flush is ours, whatever it would have to do; the supervisor answers
// some where writes are granted.
Granted Unit::granted() const {
  // Of those that have expired nothing is promised any more, though they keep their places.
  bool tokens = false;
  if (!rod_tokens_.none()) rod_tokens_.for_each_valid(now(), [&tokens](const RodToken&) { tokens = true; });
  const bool plain = commanded_ && !attentions_.any() && !medium_job_.condition();
  return {.reads = plain,
          .writes = plain && !write_protected() && write_cache() && !tokens && !lost_writes_.owes() &&
                    !device_.lost_writes()};
}

LogicalUnit::State Unit::state() const {
  return encode(
      UnitState{.capacity_changed = attentions_.to_be_remembered(Condition::CapacityDataHasChanged),
                .mode_parameters_changed = attentions_.to_be_remembered(Condition::ModeParametersChanged),
                .descriptor_sense = remembered_format_ == SenseFormat::Descriptor,
                .software_write_protect = remembered_swp_,
                .lost_writes = lost_writes_.debt() || device_.lost_writes(),
                .size_bytes = parameters_.size.value,
                .config_hash = config_hash_,
                .job = medium_job_.record()});
}

void Unit::restore(std::span<const std::uint8_t> bytes) {
  if (bytes.empty()) return;
  const auto state = decode_unit_state(bytes);
  if (!state) {
    services_.log(handler::LogLevel::Error, "what the last host of this LUN remembered can't be read");
    return;
  }
  if (state->capacity_changed || state->size_bytes != parameters_.size.value)
    attentions_.establish(Condition::CapacityDataHasChanged);
  // Another configuration may have switched the cache on for initiators that have stopped to ask for flushes.
  const bool same_medium = state->config_hash == config_hash_;
  if (state->mode_parameters_changed || !same_medium) attentions_.establish(Condition::ModeParametersChanged);
  sense_format_ = state->descriptor_sense ? SenseFormat::Descriptor : SenseFormat::Fixed;
  software_write_protect_ = state->software_write_protect;
  settle_sense_format();
  settle_software_write_protect();
  if (state->lost_writes) lost_writes_.owe();
  const bool whole_blocks = state->job.bytes_done % parameters_.block_bytes == 0;
  if (same_medium && whole_blocks)
    medium_job_.resume(state->job);
  else
    medium_job_.abandon(state->job);
}

bool Unit::contains(const Extent& extent) const {
  const auto end = end_of(extent.first, extent.count);
  return end && end->value <= capacity().value;
}

bool Unit::contains(ByteOffset at, std::uint64_t bytes) const {
  return at.value <= parameters_.size.value && bytes <= parameters_.size.value - at.value;
}

bool Unit::exceeds_channel(BlockCount count) const {
  const std::uint32_t limit = parameters_.largest_transfer_bytes;
  return limit != 0 && count.value > limit >> block_shift_;
}

ByteCount Unit::discard_piece(ByteOffset at, ByteCount left) const {
  const std::uint64_t block = parameters_.block_bytes;
  if (geometry_.max_discard_bytes == 0 || left.value <= geometry_.max_discard_bytes) return left;
  const std::uint64_t granularity = std::max<std::uint64_t>(geometry_.discard_granularity_bytes, block);
  std::uint64_t end = at.value + std::max(geometry_.max_discard_bytes, block);
  end -= (end + granularity - geometry_.discard_alignment_bytes % granularity) % granularity;
  if (end <= at.value)
    end = at.value + std::max(geometry_.max_discard_bytes / block, std::uint64_t{1}) * block;
  return {end - at.value};
}

std::uint32_t Unit::max_transfer() const {
  return tighter(parameters_.max_sectors, to_blocks(parameters_.largest_transfer_bytes, block_shift_));
}

// A power of two, so that multiples of it never straddle two of the back end's pieces, whichever limit made
// it smaller.
std::uint32_t Unit::atomic_blocks() const {
  const std::uint32_t blocks = to_blocks(std::max(geometry_.atomic_write_bytes, kSectorBytes), block_shift_);
  return blocks == 0 ? 0 : std::bit_floor(tighter(blocks, max_transfer()));
}

Limits Unit::limits() const {
  Limits limits;
  limits.max_transfer = max_transfer();
  limits.optimal_transfer =
      tighter(to_blocks(geometry_.optimal_transfer_bytes, block_shift_), limits.max_transfer);
  limits.max_write_same = kMaxWriteSameBytes >> block_shift_;
  // Two blocks of data-out for one on the medium.
  limits.max_compare_and_write =
      tighter(kMaxCompareAndWriteBlocks,
              tighter(limits.max_transfer, to_blocks(parameters_.largest_transfer_bytes / 2, block_shift_)));
  limits.atomic_write = atomic_blocks();
  if (geometry_.can_discard) {
    limits.max_unmap = kMaxUnmapBlocks;
    limits.max_unmap_descriptors = kMaxUnmapDescriptors;
    limits.unmap_granularity = std::max(1u, to_blocks(geometry_.discard_granularity_bytes, block_shift_));
    const std::uint32_t alignment = to_blocks(geometry_.discard_alignment_bytes, block_shift_);
    // Granules that begin within a block can't be told.
    if (geometry_.discard_alignment_bytes % parameters_.block_bytes == 0) limits.unmap_alignment = alignment;
  }
  return limits;
}

}  // namespace bulkhead::scsi
