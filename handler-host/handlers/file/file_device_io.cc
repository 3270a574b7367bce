// The data path of FileDevice: from the host's call to the answer.
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "handler-host/handlers/cfgstring/cfgstring.h"
#include "handler-host/handlers/file/attempt.h"
#include "handler-host/handlers/file/file_device.h"

namespace bulkhead::handler {
namespace {

constexpr std::size_t kBounceAlignment = 4096;

std::string_view name_of(Work work) {
  switch (work) {
    case Work::Read:
      return "read";
    case Work::Write:
      return "write";
    case Work::Flush:
      return "flush";
    case Work::Punch:
      return "punch a hole";
    case Work::Zero:
      return "write zeroes";
    case Work::Discard:
      return "discard";
    case Work::FindRun:
      return "look for holes in";
    case Work::Space:
      return "ask for the space of";
  }
  return "work";
}

}  // namespace

void FileDevice::read(ByteOffset from, std::span<std::byte> into, Io& io) {
  Operation& operation = prepare(Work::Read, from.value, into.size(), io);
  operation.at = into.data();
  if (!bounce_if_needed(operation)) return finish(operation, IoStatus::Busy);
  services_.count(direct_alignment_ != 0 ? "direct_reads" : "cached_reads", 1);
  start(operation);
}

void FileDevice::write(ByteOffset to, std::span<const std::byte> from, Durability durability, Io& io) {
  if (config_.read_only) return io.done(IoStatus::WriteProtected);
  if (!still_reaches(to.value + from.size(), io)) return;
  Operation& operation = prepare(Work::Write, to.value, from.size(), io);
  // Only ever read from: see Operation::at.
  operation.at = const_cast<std::byte*>(from.data());
  if (!bounce_if_needed(operation)) return finish(operation, IoStatus::Busy);
  must_last(operation, durability);
  services_.count(direct_alignment_ != 0 ? "direct_writes" : "cached_writes", 1);
  start(operation);
}

void FileDevice::flush(Io& io) {
  if (config_.read_only) return io.done(IoStatus::Ok);
  services_.count("flushes", 1);
  Operation& operation = prepare(Work::Flush, 0, 0, io);
  losses_.granted(services_.granted_writes());
  if (losses_.fails_flush()) {
    report_failure(operation, losses_.how() == IoStatus::NoSpace ? ENOSPC : EIO);
    return finish(operation, losses_.how());
  }
  operation.answered = losses_.answered();
  order_.begin(operation);
  start(operation);
}

void FileDevice::discard(ByteOffset at, ByteCount length, Io& io) {
  if (config_.read_only) return io.done(IoStatus::WriteProtected);
  if (!discard_.possible) return io.done(IoStatus::NotSupported);
  if (!still_reaches(at.value + length.value, io)) return;
  const bool file = backing_.kind == BackingKind::RegularFile;
  services_.count(file ? "punched_bytes" : "discarded_bytes", length.value);
  Operation& operation = prepare(file ? Work::Punch : Work::Discard, at.value, length.value, io);
  operation.write_number = losses_.write_begins();
  start(operation);
}

void FileDevice::write_zeroes(ByteOffset at, ByteCount length, Durability durability, Io& io) {
  if (config_.read_only) return io.done(IoStatus::WriteProtected);
  if (!can_zero_) return io.done(IoStatus::NotSupported);
  if (!still_reaches(at.value + length.value, io)) return;
  services_.count("zeroed_bytes", length.value);
  Operation& operation = prepare(zeroing_, at.value, length.value, io);
  must_last(operation, durability);
  start(operation);
}

void FileDevice::provisioning(ByteOffset from, ByteCount length, Run& run, Io& io) {
  if (backing_.kind == BackingKind::BlockDevice) return Device::provisioning(from, length, run, io);
  if (!still_reaches(from.value + length.value, io)) return;
  Operation& operation = prepare(Work::FindRun, from.value, length.value, io);
  operation.run = &run;
  start(operation);
}

void FileDevice::space(Space& space, Io& io) {
  if (backing_.kind == BackingKind::BlockDevice) return Device::space(space, io);
  Operation& operation = prepare(Work::Space, 0, 0, io);
  operation.space = &space;
  start(operation);
}

Operation& FileDevice::prepare(Work work, std::uint64_t offset, std::uint64_t length, Io& io) {
  Operation& operation = pool_.take();
  operation.work = work;
  operation.offset = offset;
  operation.left = length;
  operation.io = &io;
  return operation;
}

void FileDevice::must_last(Operation& operation, Durability durability) {
  operation.durability = config_.write_cache ? durability : Durability::Durable;
  operation.asked = operation.work;
  operation.all = operation.left;
  if (operation.durability == Durability::Durable)
    order_.begin(operation);
  else
    operation.write_number = losses_.write_begins();
}

void FileDevice::start(Operation& operation) {
  (needs_thread(operation.work) ? blocking_ : engine_)->start(operation);
  open_turn();
}

void FileDevice::round_to_blocks(Run& run) const {
  const std::uint64_t part = run.length.value % block_bytes_;
  if (run.provisioning == Provisioning::Deallocated && run.length.value >= block_bytes_)
    run.length.value -= part;
  else if (part != 0)
    run = {Provisioning::Mapped, {run.length.value - part + block_bytes_}};
}

std::optional<IoStatus> FileDevice::continue_transfer(Operation& operation, std::uint64_t moved) {
  services_.count("short_transfers", 1);
  const bool reading = operation.work == Work::Read;
  operation.offset += moved;
  operation.at += moved;
  operation.left -= moved;
  // With O_DIRECT the rest may begin where no aligned read can, so the end is looked for rather than run
  // into.
  look_at_file();
  const bool at_end = moved == 0 || operation.offset >= backing_.bytes;
  if (!at_end) return std::nullopt;
  if (reading) {
    report_end(operation.offset + operation.left);
    return IoStatus::BeyondEnd;
  }
  if (moved != 0 && backing_.kind == BackingKind::RegularFile) return std::nullopt;
  report_failure(operation, EIO);
  return IoStatus::WriteError;
}

bool FileDevice::try_another_zeroing(Operation& operation, int number) {
  if (number != EOPNOTSUPP) return false;
  if (operation.work == Work::Punch && zeroing_ == Work::Punch) can_zero_ = false;
  if (operation.work != Work::Zero) return false;
  // discard=off is a promise to keep the space.
  can_zero_ = config_.discard;
  if (!can_zero_) return false;
  zeroing_ = Work::Punch;
  operation.work = Work::Punch;
  return true;
}

void FileDevice::report_failure(const Operation& operation, int number) {
  // Asked for and answered: the host does it another way.
  if (status_of(operation.work, number) == IoStatus::NotSupported) return;
  std::string_view remedy;
  if (status_of(operation.work, number) == IoStatus::NoSpace)
    remedy = "; free some space, then the initiator may go on";
  if (operation.work == Work::Flush) remedy = "; what was written since the last flush may be lost";
  services_.log(LogLevel::Error, fmt::format("{}: {} of {} bytes at byte {}: {}{}", shown(config_.path),
                                             name_of(operation.work), operation.left, operation.offset,
                                             errno_text(number), remedy));
}

void FileDevice::report_end(std::uint64_t end) {
  services_.count("beyond_end", 1);
  const std::string remedy =
      backing_.kind == BackingKind::BlockDevice
          ? fmt::format("make it {} bytes large again, or if it is to stay so, make the LUN as small",
                        size_.value)
          : fmt::format("restore it from a backup, or if its end never held data, `truncate -s {} {}`",
                        size_.value, shown(config_.path));
  services_.log(LogLevel::Error,
                fmt::format("{}: a command needs {} bytes of it, but it has been cut to {}: {}",
                            shown(config_.path), end, backing_.bytes, remedy));
}

void FileDevice::finish(Operation& operation, IoStatus status) {
  if (operation.bounce != nullptr) {
    if (status == IoStatus::Ok && operation.bounced_for != nullptr)
      std::memcpy(operation.bounced_for, operation.bounce, operation.bounced_bytes);
    std::free(operation.bounce);
  }
  if (operation.write_number != 0) losses_.write_ended(operation.write_number);
  Io& io = *operation.io;
  // First: done() may well ask for the next one.
  pool_.give_back(operation);
  io.done(status);
}

bool FileDevice::bounce_if_needed(Operation& operation) {
  if (direct_alignment_ == 0 || reinterpret_cast<std::uintptr_t>(operation.at) % direct_alignment_ == 0)
    return true;
  const std::size_t bytes = (operation.left + kBounceAlignment - 1) / kBounceAlignment * kBounceAlignment;
  auto* bounce = static_cast<std::byte*>(std::aligned_alloc(kBounceAlignment, bytes));
  if (bounce == nullptr) return false;
  services_.count("bounced", 1);
  if (operation.work == Work::Write)
    std::memcpy(bounce, operation.at, operation.left);
  else
    operation.bounced_for = operation.at;
  operation.bounced_bytes = operation.left;
  operation.bounce = bounce;
  operation.at = bounce;
  return true;
}

bool FileDevice::still_reaches(std::uint64_t end, Io& io) {
  if (backing_.kind == BackingKind::BlockDevice) return true;
  if (!size_fresh_) look_at_file();
  if (end <= backing_.bytes) return true;
  report_end(end);
  io.done(IoStatus::BeyondEnd);
  return false;
}

void FileDevice::look_at_file() {
  size_fresh_ = true;
  open_turn();
  if (backing_.kind == BackingKind::BlockDevice) {
    std::uint64_t bytes = 0;
    if (::ioctl(backing_.fd.get(), BLKGETSIZE64, &bytes) == 0) backing_.bytes = bytes;
    return;
  }
  // Without asking a server: an ordinary fstat() has NFS write everything back first.
  struct statx status{};
  if (::statx(backing_.fd.get(), "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_SIZE | STATX_NLINK, &status) !=
      0)
    return;
  backing_.bytes = status.stx_size;
  if (status.stx_nlink != 0 || deletion_told_) return;
  deletion_told_ = true;
  services_.log(
      LogLevel::Error,
      fmt::format(
          "{} has been deleted while it is served: its data is lost when this LUN's host ends; copy it "
          "from the initiator's side now",
          shown(config_.path)));
}

void FileDevice::open_turn() {
  if (std::exchange(turn_open_, true)) return;
  services_.post([this] { end_turn(); });
}

void FileDevice::end_turn() {
  turn_open_ = false;
  size_fresh_ = false;
  engine_->kick();
  blocking_->kick();
}

}  // namespace bulkhead::handler
