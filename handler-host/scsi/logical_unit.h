// The SCSI command set over a block device: what turns CDBs into reads, writes and answers.
//
// Threads: the host's loop thread only. Never blocks. Memory: everything execute() needs is reserved when the
// logical unit is made; the data path allocates nothing.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "base/error.h"
#include "base/quantity.h"
#include "handler-host/api/handler.h"
#include "proto/channel_abi.h"

namespace bulkhead::scsi {

// The answer to one command. data_bytes: how much of the start of the buffer is valid, for the initiator.
struct Reply {
  std::uint8_t status = 0;  // SAM-5 5.3.1
  std::uint8_t sense_bytes = 0;
  std::uint32_t data_bytes = 0;
  std::array<std::uint8_t, channel::kSenseBytes> sense{};
};

// One command, owned by the host's runtime; it and its buffer stay until complete().
class Command {
 public:
  std::span<const std::uint8_t> cdb;  // hostile; at most channel::kCdbBytes of it
  std::uint16_t cdb_bytes = 0;        // its true length
  std::span<std::byte> data;          // as long as the initiator's side expects to move, either way
  channel::Direction direction = channel::Direction::None;
  std::uint32_t replays = 0;  // above 0: it may have been executed before, wholly or in part
  bool aborted = false;       // the kernel drops its answer: nobody is told anything by it

  // Called exactly once; the command must not be touched afterwards. The callee must not call the logical
  // unit from here: what waited for this command is only started after it returns.
  virtual void complete(const Reply& reply) noexcept = 0;

 protected:
  ~Command() = default;
};

// How the LUN names itself, from configfs (wwn/), which only the supervisor can read.
struct Identity {
  std::string unit_serial;  // empty: not set
  std::string vendor;       // empty: ours
  std::string product;
  std::string revision;
};
class IdentitySource {
 public:
  // Asks; the answer comes on the loop thread, also at a deadline (TimedOut).
  virtual void ask(std::move_only_function<void(Result<Identity>)> answer) = 0;

 protected:
  ~IdentitySource() = default;
};

struct Parameters {
  std::string device;  // for messages
  std::string config;  // shown to initiators in VPD 83h: "SUBTYPE/...", as tcmu-runner shows it
  ByteCount size;      // what configfs says, a multiple of block_bytes
  std::uint32_t block_bytes = 512;
  std::uint32_t max_sectors = 0;             // hw_max_sectors in blocks; 0: no limit stated
  std::uint32_t largest_transfer_bytes = 0;  // what the channel can carry for one command
  std::uint32_t max_commands = 0;            // under way at once
};

// What may be done now without asking the unit, by an I/O grant (handler::Device::io_grant).
struct Granted {
  bool reads = false;
  bool writes = false;
  bool operator==(const Granted&) const = default;
};

class LogicalUnit {
 public:
  LogicalUnit(handler::Device& device, handler::Services& services, IdentitySource& identity,
              Parameters parameters);
  ~LogicalUnit();  // with nothing under way
  LogicalUnit(const LogicalUnit&) = delete;
  LogicalUnit& operator=(const LogicalUnit&) = delete;

  // Starts a command; complete() may be called before execute() returns.
  void execute(Command& command);

  // Ends a command under way that has not reached the handler yet: true, and it has been answered TASK
  // ABORTED. False: the handler has it, and it ends by itself. What waited for it starts within the call, so
  // of several the youngest is aborted first. Never called from within a command's complete().
  [[nodiscard]] bool abort(Command& command);

  // A LOGICAL UNIT RESET, whose commands have been aborted one by one.
  void reset();

  // The device was resized: new commands see the size, initiators a CAPACITY DATA HAS CHANGED unit attention.
  void resized(ByteCount size);
  // Off: every write is durable when answered, those answered before too; `done` tells when that is so, or
  // why it can't be. Initiators switch it too (MODE SELECT): write_cache() tells. Lasts as long as this
  // object: whoever replaces this host must set it again.
  void set_write_cache(bool on, std::move_only_function<void(Result<>)> done);
  [[nodiscard]] bool write_cache() const;
  [[nodiscard]] bool read_only() const;
  // May change with every command and every piece of work; it must be known before the answer goes out.
  [[nodiscard]] Granted granted() const;
  // What the next host must know of this unit, whatever becomes of this host. It may change with every
  // command and every piece of work; whoever keeps it must have it before an answer goes out.
  static constexpr std::size_t kStateBytes = 64;
  using State = std::array<std::uint8_t, kStateBytes>;
  [[nodiscard]] State state() const;
  // From the last host, before the first command. Empty: there was none.
  void restore(std::span<const std::uint8_t> state);
  // Whatever was answered so far is where no death of this host can take it back. True: state() may have
  // changed by it.
  bool answers_are_out();
  // Closing the device failed, or a write back of the last host: writes that were answered may be lost.
  void writes_lost();
  // This host is about to close the device: what works in the background stops soon, and goes on in the next.
  void wind_down();

  // Commands started and not completed, and what works in the background.
  [[nodiscard]] std::size_t under_way() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace bulkhead::scsi
