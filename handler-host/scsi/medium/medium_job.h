// What changes every block and goes on after its command was answered: a sanitize operation (SBC-4, "Sanitize
// operations") or the formatting of the medium (SBC-4, "FORMAT UNIT command").
//
// The medium is worked through in windows of some MiB: changed piece by piece, then flushed. What the record
// says is done is on stable storage, so a fresh host goes on from there (unit_state.h). Between two pieces
// the loop gets its turn, and the operation can be stopped for a close of the device.
//
//   Overwrite  every block is written, pass after pass. Nothing else: a handler's write_zeroes() or discard()
//              may leave the old content where it is and only stop to show it.
//   Erase      zeroes are written over every block, and when they are on stable storage the space is given
//              back. Space that a discard alone gives back still holds what was there. Window by window, so a
//              thin device never needs room for all of it.
//   Clear      the cheapest way that makes blocks read as zeroes: for a format, which promises no erasure.
//
// What "erased" can mean here: a file system or disk below that writes elsewhere (copy on write, snapshots,
// flash) keeps old blocks for a while, which nobody above it can reach.
//
// While it works, dispatch refuses every command that could change the medium. The range lock is taken anew
// for each piece all the same: the first time it waits for the changes under way, later it lets the
// administrator's switch of the write cache in between.
//
// Threads: the host's loop thread. One operation at a time. Memory: made in the constructor.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include "handler-host/api/handler.h"
#include "handler-host/scsi/opcode_table.h"
#include "handler-host/scsi/range_lock.h"
#include "handler-host/scsi/sense.h"

namespace bulkhead::scsi {

class Unit;

// What was asked for. The values are also those of the persistent layout (unit_state.cc).
struct MediumPlan {
  enum class Purpose : std::uint8_t { None = 0, Sanitize = 1, Format = 2 };
  enum class Method : std::uint8_t { Overwrite = 0, Erase = 1, Clear = 2 };
  Purpose purpose = Purpose::None;
  Method method = Method::Overwrite;
  std::uint8_t passes = 1;  // of Overwrite
  // Passes alternate between the pattern and its inversion, so that the last one writes the pattern.
  bool invert = false;
  bool unrestricted_exit = false;  // AUSE: EXIT FAILURE MODE may end the failed condition
};

// How far it is: all that a fresh host has to know.
struct MediumRecord {
  enum class Phase : std::uint8_t { Idle = 0, Running = 1, Failed = 2 };
  static constexpr std::size_t kMaxPattern = 24;

  Phase phase = Phase::Idle;
  MediumPlan plan;
  std::uint8_t passes_done = 0;
  std::uint64_t bytes_done = 0;  // of the pass under way; on stable storage
  // What the blocks are filled with, over and over; 0 bytes: longer than this has room for.
  std::uint8_t pattern_bytes = 0;
  std::array<std::uint8_t, kMaxPattern> pattern{};
};

class MediumJob final : private RangeLock::Waiter, private handler::Io {
 public:
  explicit MediumJob(Unit& unit);
  MediumJob(const MediumJob&) = delete;
  MediumJob& operator=(const MediumJob&) = delete;

  // Starts; only if nothing is running(). Blocks are filled with the pattern, repeated and cut at the end of
  // each block. `waiter`, if any, is told the end: Ok; Busy: it was stopped, and goes on in the next host;
  // anything else: it failed.
  void begin(const MediumPlan& plan, std::span<const std::uint8_t> pattern, handler::Io* waiter);
  // Whoever waited was aborted.
  void forget_waiter() { waiter_ = nullptr; }
  // Goes on with what another host has begun.
  void resume(const MediumRecord& record);
  // It fails here and now: for one that was begun on what may be another medium.
  void abandon(const MediumRecord& record);
  // For a close of the device: ends after the piece under way, and is remembered as running.
  void stop() { stopping_ = true; }

  [[nodiscard]] const MediumRecord& record() const { return record_; }
  [[nodiscard]] bool running() const { return record_.phase == MediumRecord::Phase::Running; }
  [[nodiscard]] bool sanitize_failed() const { return failed(MediumPlan::Purpose::Sanitize); }
  [[nodiscard]] bool format_failed() const { return failed(MediumPlan::Purpose::Format); }
  void clear_failure() { record_ = {}; }

  // What the unit has to say of it: in progress, or failed.
  [[nodiscard]] std::optional<Sense> condition() const;
  // The same, if it keeps this command from being processed.
  [[nodiscard]] std::optional<Sense> refusal(const OpcodeRow& row) const;

 private:
  enum class Act : std::uint8_t { Change, Flush, GiveBack, LastFlush };
  enum class Clearing : std::uint8_t { Discard, Zeroes, Writes };

  void granted() noexcept override;
  void done(handler::IoStatus status) noexcept override;

  void launch();
  void schedule();
  void step();
  void start_act();
  void change();
  void give_back();
  void changed(handler::IoStatus status);
  void flushed(handler::IoStatus status);
  void given_back(handler::IoStatus status);
  void window_done();
  void leave(handler::IoStatus outcome);
  void finish(handler::IoStatus outcome);
  void fill_scratch();
  void remember_pattern();
  [[nodiscard]] bool failed(MediumPlan::Purpose purpose) const;
  [[nodiscard]] bool writes() const;
  [[nodiscard]] std::uint64_t window_end() const;
  [[nodiscard]] std::uint16_t progress() const;
  [[nodiscard]] std::string_view name() const;
  void say(handler::LogLevel level, std::string_view what) const;

  Unit& unit_;
  std::unique_ptr<std::uint8_t[]> block_;  // one block of the pattern
  MediumRecord record_;
  bool stopping_ = false;

  // Of the operation under way.
  handler::Io* waiter_ = nullptr;
  RangeLock::Section all_;
  RangeLock::Section scratch_;
  Act act_ = Act::Change;
  Clearing clearing_ = Clearing::Writes;
  std::uint64_t at_ = 0;  // changed up to here
  std::uint64_t given_back_to_ = 0;
  std::uint64_t piece_ = 0;
};

}  // namespace bulkhead::scsi
