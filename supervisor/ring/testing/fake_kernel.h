// The kernel's side of one TCMU device, in memory: queues commands, walks completions, checks the daemon.
//
// Follows target_core_user.c (6.1): entry layout, PAD at the end of the ring, ids handed out lowest first,
// data blocks that belong to a command until it is answered, the walk by cmd_id. What the real kernel would
// answer with BROKEN or an endless loop is a recorded fault here. Threads: any; one lock, as the kernel's
// cmdr_lock. The daemon's reads of the region are not under it.
#pragma once

#include <array>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

namespace bulkhead::supervisor::testing {

class FakeKernel {
 public:
  struct Options {
    std::uint32_t ring_bytes = 4096;
    std::uint32_t data_blocks = 64;  // of 4 KiB
    bool read_len = true;
    bool task_management = true;
    // Where the region lies: zeroed memory of region_bytes(), which outlives the kernel. Empty: its own.
    std::span<std::byte> memory{};
  };
  [[nodiscard]] static std::size_t region_bytes(const Options& options);
  struct Finished {
    std::uint8_t status = 0;
    std::array<std::uint8_t, 96> sense{};
    std::vector<std::uint8_t> data;  // what the initiator gets: for data-in commands
    std::optional<std::uint32_t> read_len;
  };
  enum class Data : std::uint8_t { None, In, Out };

  FakeKernel() : FakeKernel(Options{}) {}
  explicit FakeKernel(const Options& options);

  [[nodiscard]] std::span<std::byte> region() { return memory_; }

  // Queues a command; returns a ticket, or nullopt when the ring or the data area is full.
  // Out: `data` is what the initiator sends. In: `bytes` is what it expects; the blocks hold stale bytes.
  // The blocks are taken `stride` apart, so a stride of 2 gives one segment per block.
  std::optional<std::uint64_t> queue(std::span<const std::uint8_t> cdb, Data direction, std::size_t bytes,
                                     std::span<const std::uint8_t> data = {}, std::uint32_t stride = 1);
  // Task management: the commands of these tickets are aborted. `function`: enum tcmu_tmr_type. A ticket that
  // has been answered keeps the id it had, as in the kernel's snapshot.
  void queue_tmr(std::uint8_t function = 1, std::span<const std::uint64_t> tickets = {});
  // The daemon's write() to the uio device.
  void kick();
  // As action/reset_ring=1: every running command ends with BUSY, the indices are zero.
  void reset();

  [[nodiscard]] std::optional<Finished> finished(std::uint64_t ticket);
  // All answers that came and were not taken yet, by ticket. They and their tickets are forgotten here: for
  // loads that go on for long.
  [[nodiscard]] std::map<std::uint64_t, Finished> take_finished();
  // Waits for the answer of `ticket`, at most 20 s; nullopt then.
  [[nodiscard]] std::optional<Finished> wait(std::uint64_t ticket);
  [[nodiscard]] std::size_t running();
  [[nodiscard]] std::string fault();  // first thing the daemon did wrong; empty: nothing
  [[nodiscard]] std::uint32_t tail();
  [[nodiscard]] std::uint32_t head();

 private:
  struct Running {
    std::uint64_t ticket;
    Data direction;
    std::size_t bytes;
    std::vector<std::uint32_t> blocks;
  };
  [[nodiscard]] bool make_room(std::uint32_t bytes);
  void walk();
  void finish(std::uint16_t id, std::uint8_t uflags, std::span<const std::byte> response);
  template <class T>
  void put(std::size_t at, T value);
  template <class T>
  [[nodiscard]] T get(std::size_t at);
  [[nodiscard]] std::uint32_t used() const;

  const Options options_;
  std::vector<std::uint64_t> storage_;  // for alignment
  std::span<std::byte> memory_;
  std::mutex lock_;
  std::condition_variable changed_;
  std::uint32_t head_ = 0;
  std::uint32_t cleaned_ = 0;
  std::uint64_t next_ticket_ = 1;
  std::map<std::uint16_t, Running> running_;
  std::map<std::uint64_t, std::uint16_t> ids_;  // of every ticket
  std::set<std::uint32_t> free_blocks_;
  std::map<std::uint64_t, Finished> finished_;
  std::string fault_;
};

}  // namespace bulkhead::supervisor::testing
