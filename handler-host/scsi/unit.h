// One logical unit at work: what the commands (the files beside this one) share. Behind LogicalUnit; nobody
// else includes this.
//
// Threads: the host's loop thread. Memory: made in the constructor.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <optional>
#include <span>

#include "base/quantity.h"
#include "handler-host/api/handler.h"
#include "handler-host/scsi/attentions.h"
#include "handler-host/scsi/cache_switch.h"
#include "handler-host/scsi/cdb.h"
#include "handler-host/scsi/copy/copy_results.h"
#include "handler-host/scsi/copy/rod_tokens.h"
#include "handler-host/scsi/device_type.h"
#include "handler-host/scsi/logical_unit.h"
#include "handler-host/scsi/lost_writes.h"
#include "handler-host/scsi/medium/medium_job.h"
#include "handler-host/scsi/range_lock.h"
#include "handler-host/scsi/report/error_counters.h"
#include "handler-host/scsi/sense.h"
#include "handler-host/scsi/task.h"
#include "handler-host/scsi/threshold_sets.h"
#include "handler-host/scsi/threshold_watch.h"

namespace bulkhead::scsi {

// What initiators are told to keep to (VPD B0h) and are held to. In blocks; 0: no limit.
struct Limits {
  std::uint32_t max_transfer = 0;  // told; what the channel can carry is a limit of its own
  std::uint32_t optimal_transfer = 0;
  std::uint32_t max_unmap = 0;  // of one UNMAP, all descriptors together
  std::uint32_t max_unmap_descriptors = 0;
  std::uint32_t unmap_granularity = 0;
  std::optional<std::uint32_t> unmap_alignment = std::nullopt;
  std::uint64_t max_write_same = 0;
  std::uint32_t max_compare_and_write = 0;
  std::uint32_t atomic_write = 0;  // what WRITE ATOMIC takes, no more and no less; 0: no such command
};

class Unit {
 public:
  Unit(handler::Device& device, handler::Services& services, IdentitySource& identity, Parameters parameters,
       const DeviceType& type);
  ~Unit();
  Unit(const Unit&) = delete;
  Unit& operator=(const Unit&) = delete;

  void execute(Command& command);
  [[nodiscard]] bool abort(Command& command);
  // SAM-5, "Logical unit reset", as far as it is ours. The kernel's target core lists the commands that it
  // aborts, drops reservations and raises the unit attention. What is left are parameters that initiators
  // have changed by MODE SELECT, which go back to their defaults; but not WCE: the administrator sets that
  // one too (emulate_write_cache), and a reset must not undo what he chose.
  void logical_unit_reset() {
    sense_format_ = SenseFormat::Fixed;
    software_write_protect_ = false;
    settle_sense_format();
    settle_software_write_protect();
  }
  void resized(ByteCount size);
  [[nodiscard]] std::size_t under_way() const { return under_way_; }
  // What outlives the host (unit_state.h).
  [[nodiscard]] LogicalUnit::State state() const;
  void restore(std::span<const std::uint8_t> bytes);

  [[nodiscard]] Granted granted() const;

  // Facts.
  [[nodiscard]] const DeviceType& type() const { return type_; }
  [[nodiscard]] const Parameters& parameters() const { return parameters_; }
  [[nodiscard]] const handler::Geometry& geometry() const { return geometry_; }
  [[nodiscard]] Capabilities capabilities() const {
    return {.discard = geometry_.can_discard, .atomic_writes = atomic_blocks() != 0};
  }
  [[nodiscard]] Limits limits() const;
  [[nodiscard]] std::uint32_t block_bytes() const { return parameters_.block_bytes; }
  [[nodiscard]] BlockCount capacity() const { return {parameters_.size.value >> block_shift_}; }
  // Does all of it lie on the medium? No blocks at all do, up to and including the one after the last.
  [[nodiscard]] bool contains(const Extent& extent) const;
  [[nodiscard]] bool contains(ByteOffset at, std::uint64_t bytes) const;
  // Of an extent that is contained.
  [[nodiscard]] ByteOffset offset_of(Lba lba) const { return {lba.value << block_shift_}; }
  [[nodiscard]] ByteCount bytes_of(BlockCount count) const { return {count.value << block_shift_}; }
  [[nodiscard]] BlockRange blocks_of(ByteOffset at, ByteCount length) const {
    return {at.value >> block_shift_, (at.value + length.value) >> block_shift_};
  }
  // How much of a range to discard at once: what the handler takes, ending at its granularity where possible.
  [[nodiscard]] ByteCount discard_piece(ByteOffset at, ByteCount left) const;
  // More blocks than the channel can carry for one command?
  [[nodiscard]] bool exceeds_channel(BlockCount count) const;

  // D_SENSE and SWP, as mode page 0Ah shows them.
  [[nodiscard]] SenseFormat sense_format() const { return sense_format_; }
  void set_sense_format(SenseFormat format) { sense_format_ = format; }
  [[nodiscard]] bool software_write_protect() const { return software_write_protect_; }
  void set_software_write_protect(bool on) { software_write_protect_ = on; }
  // The next host gets of the two what was settled by commands that are through. One that is not is replayed
  // there, and must find what it found here, so that it takes back the right thing if it fails.
  void settle_sense_format() { remembered_format_ = sense_format_; }
  void settle_software_write_protect() { remembered_swp_ = software_write_protect_; }
  // MODE SELECTs that have set something and may have to take it back.
  void mode_select_begins() { ++mode_selects_; }
  // True: there is no other.
  [[nodiscard]] bool mode_select_over() { return --mode_selects_ == 0; }
  // By the device, or by an initiator.
  [[nodiscard]] bool write_protected() const { return geometry_.read_only || software_write_protect_; }

  // The write cache, as mode page 08h shows it. Without one in the device it stays off.
  [[nodiscard]] bool write_cache() const { return geometry_.write_cache && !write_through_; }
  void set_write_cache(bool on) { write_through_ = !on; }
  [[nodiscard]] handler::Durability durability(bool force_unit_access) const {
    return force_unit_access || !write_cache() ? handler::Durability::Durable : handler::Durability::Cached;
  }

  // Writes that are lost, and no initiator knows.
  [[nodiscard]] LostWrites& lost_writes() { return lost_writes_; }

  // The condition that the next command reports.
  [[nodiscard]] std::optional<Sense> unit_attention() const { return attentions_.first(); }
  void clear_unit_attention() { attentions_.clear_first(); }
  [[nodiscard]] Attentions& attentions() { return attentions_; }

  // Somebody who is no initiator changed a mode page. Not for a MODE SELECT: SPC-4 wants the attention
  // established for every I_T nexus but the one that sent it. The next command is most likely that one's own,
  // and would fail for what its sender knows best. All initiators share one set of mode pages (VPD 87h says
  // so), and those that care look at the pages again.
  void mode_parameters_changed();

  // Thin provisioning: are initiators warned when room becomes scarce?
  [[nodiscard]] bool has_thresholds() const {
    return geometry_.can_discard && geometry_.tells_space && !geometry_.read_only;
  }
  [[nodiscard]] ThresholdSets threshold_sets() const { return {capacity(), block_shift_}; }

  // What the log pages show.
  [[nodiscard]] ErrorCounters& errors() { return errors_; }
  [[nodiscard]] const ErrorCounters& errors() const { return errors_; }

  // Parts.
  [[nodiscard]] handler::Device& device() { return device_; }
  [[nodiscard]] handler::Services& services() { return services_; }
  [[nodiscard]] IdentitySource& identity() { return identity_; }
  [[nodiscard]] RangeLock& blocks() { return blocks_; }
  // Reads share it, an atomic write has it alone (write_atomic.cc).
  [[nodiscard]] RangeLock& atomic_lock() { return atomic_lock_; }
  // What exists once and is borrowed, in order of arrival: who holds its lock may use it.
  [[nodiscard]] RangeLock& scratch_lock() { return scratch_lock_; }
  [[nodiscard]] std::span<std::byte> scratch() { return {scratch_.get(), scratch_bytes_}; }

  // SANITIZE and FORMAT UNIT.
  [[nodiscard]] MediumJob& medium_job() { return medium_job_; }

  // Third-party copies: the buffer they go through, borrowed too, but nobody else's: a copy takes its time.
  // Holds whole blocks.
  [[nodiscard]] RangeLock& copy_lock() { return copy_lock_; }
  [[nodiscard]] std::span<std::byte> copy_buffer() { return {copy_buffer_.get(), copy_bytes_}; }
  [[nodiscard]] CopyResults& copy_results() { return copy_results_; }
  [[nodiscard]] RodTokens& rod_tokens() { return rod_tokens_; }
  [[nodiscard]] const RodTokens& rod_tokens() const { return rod_tokens_; }
  // Before any operation that may change the medium.
  void medium_changes(ByteOffset at, std::uint64_t bytes) {
    rod_tokens_.changed(blocks_of(at, ByteCount{bytes}));
  }
  [[nodiscard]] CopyResults::Time now() const { return std::chrono::steady_clock::now(); }

  // The administrator's way to switch the cache off.
  [[nodiscard]] CacheSwitch& cache_switch() { return cache_switch_; }
  void operation_begins() { ++under_way_; }
  // A task's last two calls.
  void command_over() { --under_way_; }
  void give_back(Task& task);

  static constexpr std::uint32_t kMaxUnmapDescriptors = 256;

 private:
  [[nodiscard]] Task* take_task();
  [[nodiscard]] std::uint32_t max_transfer() const;
  [[nodiscard]] std::uint32_t atomic_blocks() const;

  // Constant after construction, but for parameters_.size.
  handler::Device& device_;
  handler::Services& services_;
  IdentitySource& identity_;
  Parameters parameters_;
  const DeviceType& type_;
  unsigned block_shift_;
  std::uint64_t config_hash_;

  handler::Geometry geometry_;
  bool write_through_ = false;
  Attentions attentions_;
  bool software_write_protect_ = false;
  SenseFormat sense_format_ = SenseFormat::Fixed;
  bool remembered_swp_ = false;
  SenseFormat remembered_format_ = SenseFormat::Fixed;
  std::size_t mode_selects_ = 0;
  bool commanded_ = false;  // there was a command: an initiator may have seen the mode pages

  ErrorCounters errors_;
  LostWrites lost_writes_;

  RangeLock blocks_;
  RangeLock atomic_lock_;
  RangeLock scratch_lock_;
  std::size_t scratch_bytes_;
  struct Free {
    void operator()(std::byte* memory) const { std::free(memory); }
  };
  std::unique_ptr<std::byte[], Free> scratch_;  // aligned for O_DIRECT

  MediumJob medium_job_{*this};
  RangeLock copy_lock_;
  std::size_t copy_bytes_;
  std::unique_ptr<std::byte[], Free> copy_buffer_;  // likewise
  CopyResults copy_results_;
  RodTokens rod_tokens_;

  CacheSwitch cache_switch_{*this};
  ThresholdWatch threshold_watch_{*this};
  std::unique_ptr<Task[]> tasks_;  // after the locks: their sections are checked to be idle first
  Task* free_tasks_ = nullptr;
  std::size_t under_way_ = 0;
};

}  // namespace bulkhead::scsi
