// Reads past the page cache (O_DIRECT) of files that hosts have granted: a pump begins them, storage does
// them, nobody waits.
//
// They go to memory of the supervisor's own and are copied from there when they are done. Straight into the
// kernel's data area they could not be taken back: when a supervisor dies, its successor does its commands
// again and answers them, and what a disk still writes would land in the data of some later command. This way
// a read that nobody waits for any more is simply forgotten, whatever became of its command, its host or its
// supervisor. Writes have no such way out: one that a dead supervisor had begun could undo what was written
// after it. They are the host's, which outlives the supervisor.
//
// Threads: the pump, except create(). Memory: made once, and of a buffer only the pages that are used.
#pragma once

#include <liburing.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/error.h"
#include "base/quantity.h"
#include "base/unique_fd.h"

namespace bulkhead::supervisor {

class DirectReads {
 public:
  static constexpr std::uint32_t kLargestBytes = 128 * 1024;
  // Under way at once; of one reader, too: a disk that hangs leaves room for the others.
  static constexpr std::size_t kRoom = 64;
  static constexpr std::uint32_t kRoomOfOne = 32;

  // Whose reads they are: a device.
  class Reader {
   public:
    // `data`: valid within the call. `whole`: all that was asked for is there; otherwise nothing is known.
    virtual void read_done(SlotIndex slot, std::span<const std::byte> data, bool whole) = 0;

   protected:
    virtual ~Reader() = default;

   private:
    friend class DirectReads;
    std::uint32_t under_way_ = 0;
  };
  using Number = std::uint16_t;

  // Errors: Denied or NotFound where the kernel has no io_uring for us.
  [[nodiscard]] static Result<std::unique_ptr<DirectReads>> create();
  ~DirectReads();
  DirectReads(const DirectReads&) = delete;
  DirectReads& operator=(const DirectReads&) = delete;

  // Readable when there is something to reap().
  [[nodiscard]] int fd() const { return ring_.ring_fd; }

  // `file` is open for O_DIRECT; `bytes` is at most kLargestBytes. nullopt: no room now. Nothing is under way
  // before submit().
  [[nodiscard]] std::optional<Number> begin(Reader& reader, SlotIndex slot,
                                            std::shared_ptr<const UniqueFd> file, ByteOffset from,
                                            std::uint32_t bytes);
  // The reader will not be told of it. The read keeps its place until storage is done with it.
  void forget(Number number) { entries_[number].wanted = false; }
  // No call for this reader any more; it may end.
  void leave(Reader& reader);
  // One system call for all that were begun, none if none were. True: the kernel took less than all (it has
  // no memory); to be called again soon.
  bool submit();
  // Tells of what is done.
  void reap();
  // Begun, and not ended yet; also those that nobody waits for.
  [[nodiscard]] std::size_t under_way() const { return kRoom - free_.size(); }

 private:
  struct Entry {
    Reader* reader = nullptr;  // null: it has left
    bool wanted = false;
    SlotIndex slot{};
    std::uint32_t bytes = 0;
    std::shared_ptr<const UniqueFd> file;  // until storage is done: its number must not become another file's
  };

  DirectReads(const io_uring& ring, std::span<std::byte> memory);
  [[nodiscard]] std::span<std::byte> buffer(Number number) const {
    return memory_.subspan(std::size_t{number} * kLargestBytes, kLargestBytes);
  }

  io_uring ring_;
  std::span<std::byte> memory_;
  std::array<Entry, kRoom> entries_;
  std::vector<Number> free_;  // a stack: the buffer used last is the warmest, and few are used at all
};

}  // namespace bulkhead::supervisor
