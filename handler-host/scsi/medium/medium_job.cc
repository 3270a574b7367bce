#include "handler-host/scsi/medium/medium_job.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/error.h"
#include "handler-host/scsi/unit.h"

namespace bulkhead::scsi {
namespace {

using handler::IoStatus;
using handler::LogLevel;
using Method = MediumPlan::Method;
using Phase = MediumRecord::Phase;
using Purpose = MediumPlan::Purpose;

// Written between two flushes: with the flush well below the 8 s that a close may take, on a slow disk too.
constexpr std::uint64_t kWindow = 64 * 1024 * 1024;
constexpr std::uint64_t kDiscardWindow = 1024 * 1024 * 1024;
// A handler may have to write them after all.
constexpr std::uint64_t kZeroesPiece = 16 * 1024 * 1024;
// Until a piece that the handler was too busy for is tried again.
constexpr std::uint32_t kAgainAfterMs = 1000;

}  // namespace

MediumJob::MediumJob(Unit& unit)
    : unit_(unit), block_(std::make_unique<std::uint8_t[]>(unit.block_bytes())) {}

void MediumJob::begin(const MediumPlan& plan, std::span<const std::uint8_t> pattern, handler::Io* waiter) {
  BULKHEAD_CHECK(!running() && !pattern.empty());
  for (std::size_t i = 0; i < unit_.block_bytes(); ++i) block_[i] = pattern[i % pattern.size()];
  record_ = {.phase = Phase::Running, .plan = plan};
  remember_pattern();
  waiter_ = waiter;
  unit_.rod_tokens().revoke_all();  // what they stand for will be gone
  say(LogLevel::Info, "has begun");
  launch();
}

void MediumJob::resume(const MediumRecord& record) {
  BULKHEAD_CHECK(!running());
  record_ = record;
  if (record.phase != Phase::Running) return;
  if (record.pattern_bytes == 0) return abandon(record);
  for (std::size_t i = 0; i < unit_.block_bytes(); ++i) block_[i] = record.pattern[i % record.pattern_bytes];
  say(LogLevel::Info, "goes on");
  launch();
}

void MediumJob::abandon(const MediumRecord& record) {
  record_ = record;
  if (record.phase == Phase::Idle) return;
  record_.phase = Phase::Failed;
  say(LogLevel::Error, "can't be gone on with, and counts as failed");
}

// The shortest one that gives the same block.
void MediumJob::remember_pattern() {
  const std::size_t block = unit_.block_bytes();
  for (std::size_t bytes = 1; bytes <= MediumRecord::kMaxPattern; ++bytes) {
    if (std::memcmp(&block_[bytes], &block_[0], block - bytes) != 0) continue;
    record_.pattern_bytes = static_cast<std::uint8_t>(bytes);
    std::copy_n(&block_[0], bytes, record_.pattern.begin());
    return;
  }
}

void MediumJob::launch() {
  unit_.operation_begins();
  const handler::Geometry& geometry = unit_.geometry();
  clearing_ = geometry.can_discard && geometry.discard_zeroes ? Clearing::Discard : Clearing::Zeroes;
  act_ = record_.passes_done < record_.plan.passes ? Act::Change : Act::LastFlush;
  at_ = record_.bytes_done;
  schedule();
}

// A handler may end operations at once; without this the loop would see nothing else until all is done.
void MediumJob::schedule() {
  unit_.services().post([this] { step(); });
}

void MediumJob::step() {
  if (stopping_) return leave(IoStatus::Busy);
  if (unit_.blocks().acquire(all_, {0, unit_.capacity().value}, *this)) granted();
}

// Of the blocks, then of the scratch buffer. Both are let go after each piece: commands that have passed
// their checks before may wait for either.
void MediumJob::granted() noexcept {
  if (scratch_.idle() && !unit_.scratch_lock().acquire(scratch_, {0, 1}, *this)) return;
  start_act();
}

void MediumJob::start_act() {
  switch (act_) {
    case Act::Change:
      return change();
    case Act::GiveBack:
      return give_back();
    case Act::Flush:
    case Act::LastFlush:
      return unit_.device().flush(*this);
  }
}

bool MediumJob::writes() const {
  return record_.plan.method != Method::Clear || clearing_ == Clearing::Writes;
}

std::uint64_t MediumJob::window_end() const {
  const std::uint64_t window = writes() || clearing_ == Clearing::Zeroes ? kWindow : kDiscardWindow;
  return std::min(record_.bytes_done + window, unit_.parameters().size.value);
}

void MediumJob::change() {
  handler::Device& device = unit_.device();
  unit_.rod_tokens().revoke_all();  // one may have been made between two pieces
  const std::uint64_t end = window_end();
  if (at_ >= end) {  // the device has shrunk
    piece_ = 0;
    return done(IoStatus::Ok);
  }
  const std::uint64_t left = end - at_;
  if (writes()) {
    fill_scratch();
    piece_ = std::min<std::uint64_t>(left, unit_.scratch().size());
    device.write({at_}, unit_.scratch().first(piece_), handler::Durability::Cached, *this);
  } else if (clearing_ == Clearing::Discard) {
    piece_ = unit_.discard_piece({at_}, {left}).value;
    device.discard({at_}, {piece_}, *this);
  } else {
    piece_ = std::min(left, kZeroesPiece);
    device.write_zeroes({at_}, {piece_}, handler::Durability::Cached, *this);
  }
}

void MediumJob::give_back() {
  const std::uint64_t end = std::min(at_, unit_.parameters().size.value);
  if (given_back_to_ >= end) {  // the device has shrunk
    given_back_to_ = at_;
    piece_ = 0;
    return done(IoStatus::Ok);
  }
  unit_.rod_tokens().revoke_all();
  piece_ = unit_.discard_piece({given_back_to_}, {end - given_back_to_}).value;
  unit_.device().discard({given_back_to_}, {piece_}, *this);
}

void MediumJob::fill_scratch() {
  const MediumPlan& plan = record_.plan;
  const int passes_left = plan.passes - record_.passes_done;
  const std::uint8_t inversion = plan.invert && passes_left % 2 == 0 ? 0xff : 0x00;
  const std::size_t block = unit_.block_bytes();
  const auto scratch = unit_.scratch();
  for (std::size_t i = 0; i < block; ++i)
    scratch[i] = static_cast<std::byte>(static_cast<std::uint8_t>(block_[i] ^ inversion));
  for (std::size_t at = block; at + block <= scratch.size(); at += block)
    std::memcpy(&scratch[at], scratch.data(), block);
}

void MediumJob::done(IoStatus status) noexcept {
  unit_.blocks().release(all_);
  unit_.scratch_lock().release(scratch_);
  // For want of memory, say: no reason to give up the work of hours.
  if (status == IoStatus::Busy) return unit_.services().after(kAgainAfterMs, [this] { step(); });
  switch (act_) {
    case Act::Change:
      return changed(status);
    case Act::GiveBack:
      return given_back(status);
    case Act::Flush:
      return flushed(status);
    case Act::LastFlush:
      return finish(status == IoStatus::NotSupported ? IoStatus::Ok : status);
  }
}

void MediumJob::changed(IoStatus status) {
  if (status == IoStatus::NotSupported && !writes()) {
    clearing_ = clearing_ == Clearing::Discard ? Clearing::Zeroes : Clearing::Writes;
    return schedule();
  }
  if (status != IoStatus::Ok) return finish(status);
  at_ += piece_;
  if (at_ >= window_end()) act_ = Act::Flush;
  schedule();
}

void MediumJob::flushed(IoStatus status) {
  // Of a handler that has nothing to flush.
  if (status != IoStatus::Ok && status != IoStatus::NotSupported) return finish(status);
  if (record_.plan.method != Method::Erase) return window_done();
  given_back_to_ = record_.bytes_done;
  act_ = Act::GiveBack;
  schedule();
}

void MediumJob::given_back(IoStatus status) {
  // Erased it is; the space stays.
  if (status == IoStatus::NotSupported) return window_done();
  if (status != IoStatus::Ok) return finish(status);
  given_back_to_ += piece_;
  if (given_back_to_ >= at_) return window_done();
  schedule();
}

void MediumJob::window_done() {
  record_.bytes_done = at_;
  act_ = Act::Change;
  if (at_ >= unit_.parameters().size.value) {
    record_.bytes_done = at_ = 0;
    ++record_.passes_done;
    if (record_.passes_done >= record_.plan.passes) {
      if (record_.plan.method != Method::Erase) return finish(IoStatus::Ok);
      act_ = Act::LastFlush;  // of what was given back
    }
  }
  schedule();
}

void MediumJob::finish(IoStatus outcome) {
  say(outcome == IoStatus::Ok ? LogLevel::Info : LogLevel::Error,
      outcome == IoStatus::Ok ? "is done" : "has failed");
  if (outcome == IoStatus::Ok)
    record_ = {};
  else
    record_.phase = Phase::Failed;
  // Busy is what the waiter takes for "stopped".
  leave(outcome == IoStatus::Busy ? IoStatus::WriteError : outcome);
}

void MediumJob::leave(IoStatus outcome) {
  unit_.command_over();
  if (handler::Io* waiter = std::exchange(waiter_, nullptr)) waiter->done(outcome);
}

bool MediumJob::failed(Purpose purpose) const {
  return record_.phase == Phase::Failed && record_.plan.purpose == purpose;
}

// SPC-4, "Progress indication": in 65536ths.
std::uint16_t MediumJob::progress() const {
  const auto size = static_cast<double>(unit_.parameters().size.value);
  const double done = record_.passes_done * size + static_cast<double>(at_);
  return static_cast<std::uint16_t>(std::min(65535.0, done / (record_.plan.passes * size) * 65536));
}

std::optional<Sense> MediumJob::condition() const {
  const bool format = record_.plan.purpose == Purpose::Format;
  switch (record_.phase) {
    case Phase::Idle:
      break;
    case Phase::Running: {
      Sense sense{SenseKey::NotReady, format ? asc::kFormatInProgress : asc::kSanitizeInProgress};
      sense.progress = progress();
      return sense;
    }
    case Phase::Failed:
      return Sense{SenseKey::MediumError, format ? asc::kMediumFormatCorrupted : asc::kSanitizeFailed};
  }
  return std::nullopt;
}

std::optional<Sense> MediumJob::refusal(const OpcodeRow& row) const {
  const UnfitMedium rule = row.special.unfit_medium;
  if (record_.phase == Phase::Idle || rule == UnfitMedium::Answered) return std::nullopt;
  if (record_.phase == Phase::Failed && rule == UnfitMedium::Mends) return std::nullopt;
  // A medium that is not formatted can't be read or written; the unit answers for itself.
  if (format_failed() && rule != UnfitMedium::Tells && row.access == Access::None) return std::nullopt;
  return condition();
}

std::string_view MediumJob::name() const {
  if (record_.plan.purpose == Purpose::Format) return "the formatting of the medium (FORMAT UNIT)";
  return record_.plan.method == Method::Erase ? "SANITIZE BLOCK ERASE" : "SANITIZE OVERWRITE";
}

void MediumJob::say(LogLevel level, std::string_view what) const {
  unit_.services().log(
      level,
      fmt::format("{} {}, at byte {} of {}, pass {} of {}", name(), what, at_, unit_.parameters().size.value,
                  std::min(record_.passes_done + 1, int{record_.plan.passes}), record_.plan.passes));
}

}  // namespace bulkhead::scsi
