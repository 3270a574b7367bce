// One LUN on a file or a block device.
//
// Threads: the host's loop thread. Steady state allocates nothing, but for buffers that O_DIRECT can't take
// (the channel's always can).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "handler-host/api/handler.h"
#include "handler-host/handlers/file/backing.h"
#include "handler-host/handlers/file/config.h"
#include "handler-host/handlers/file/discard.h"
#include "handler-host/handlers/file/engine.h"
#include "handler-host/handlers/file/losses.h"
#include "handler-host/handlers/file/operation.h"
#include "handler-host/handlers/file/sync_order.h"

namespace bulkhead::handler {

class FileDevice final : public Device, private Finisher {
 public:
  [[nodiscard]] static Result<std::unique_ptr<Device>> open(Services& services, const OpenRequest& request);

  [[nodiscard]] Geometry geometry() const override;
  void read(ByteOffset from, std::span<std::byte> into, Io& io) override;
  void write(ByteOffset to, std::span<const std::byte> from, Durability durability, Io& io) override;
  void flush(Io& io) override;
  void discard(ByteOffset at, ByteCount length, Io& io) override;
  void write_zeroes(ByteOffset at, ByteCount length, Durability durability, Io& io) override;
  [[nodiscard]] Result<> resize(ByteCount size) override;
  [[nodiscard]] Result<> close() override;
  void provisioning(ByteOffset from, ByteCount length, Run& run, Io& io) override;
  void space(Space& space, Io& io) override;
  [[nodiscard]] bool lost_writes() const override { return losses_.untold(); }
  [[nodiscard]] std::optional<IoGrant> io_grant() const override;

 private:
  FileDevice(Services& services, FileConfig config, Backing backing, ByteCount size,
             std::uint32_t block_bytes);
  [[nodiscard]] Result<> start_engine();

  [[nodiscard]] Operation& prepare(Work work, std::uint64_t offset, std::uint64_t length, Io& io);
  // Of a change: whether it has to be durable when it is answered.
  void must_last(Operation& operation, Durability durability);
  void start(Operation& operation);
  void finished(Operation& operation, std::int64_t result) noexcept override;
  void failed(Operation& operation, int number);
  // Answers what only waited for the results of others.
  void settle();
  void repeat(Operation& operation);
  void finish(Operation& operation, IoStatus status);
  // What the rest of a short read or write comes to: nullopt: try it; else the answer.
  [[nodiscard]] std::optional<IoStatus> continue_transfer(Operation& operation, std::uint64_t moved);
  // True: the zeroing was refused as not supported, another way is worth a try.
  [[nodiscard]] bool try_another_zeroing(Operation& operation, int number);
  // A block that is mapped in part is mapped.
  void round_to_blocks(Run& run) const;
  IoStatus how_it_failed(const Operation& operation, int number);
  void report_failure(const Operation& operation, int number);
  void report_end(std::uint64_t end);

  // O_DIRECT and a buffer that is not aligned for it: goes through one that is. False: no memory.
  [[nodiscard]] bool bounce_if_needed(Operation& operation);
  // False: the file ends before `end`, so a write would grow it and turn lost data into zeroes; io is
  // answered.
  [[nodiscard]] bool still_reaches(std::uint64_t end, Io& io);
  void look_at_file();
  // A turn is one round of the host's loop: what it started goes to the kernel in one call.
  void open_turn();
  void end_turn();

  // Constant after open().
  Services& services_;
  const FileConfig config_;
  const std::uint32_t block_bytes_;
  std::uint32_t direct_alignment_ = 0;  // of buffers; 0: O_DIRECT is off
  DiscardAbility discard_;

  Backing backing_;
  ByteCount size_;  // of the LUN
  OperationPool pool_;
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<Engine> blocking_;  // for what io_uring can't do; starts its thread when first used
  Work zeroing_ = Work::Zero;         // what write_zeroes() tries; Punch after the file system refused that
  bool can_zero_ = true;
  bool turn_open_ = false;   // end_turn() is posted
  bool size_fresh_ = false;  // backing_.bytes was asked for in this turn
  bool deletion_told_ = false;
  SyncOrder order_;
  Losses losses_;
};

}  // namespace bulkhead::handler
