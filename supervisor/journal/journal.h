// One device's journal: the memory file, mapped. What its parts mean is told in journal_abi.h.
//
// Threads: commands, segments, cursors and stats belong to the device's pump (stats are read by anyone);
// records to the control thread. Made and thrown away together with the device's ring.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/mapping.h"
#include "base/unique_fd.h"
#include "supervisor/journal/journal_abi.h"

namespace bulkhead::supervisor {

class Journal {
 public:
  // `slots` and `pages`: of the device's channels, all of which are of one size.
  [[nodiscard]] static Result<std::shared_ptr<Journal>> create(std::uint32_t slots, std::uint32_t pages);
  // A dead supervisor's. Errors: BadInput when it is of another version, or no journal at all.
  [[nodiscard]] static Result<std::shared_ptr<Journal>> adopt(UniqueFd fd);

  [[nodiscard]] const UniqueFd& fd() const { return fd_; }
  [[nodiscard]] bool adopted() const { return adopted_; }
  [[nodiscard]] std::uint32_t slots() const { return slots_; }
  [[nodiscard]] std::uint32_t pages() const { return pages_; }

  [[nodiscard]] JournalCursors& cursors() const;
  [[nodiscard]] std::span<InFlightCommand> commands() const;
  [[nodiscard]] std::span<KernelSegment> segments() const;
  // kStatsBytes, zero in a new journal; aligned for any counter.
  [[nodiscard]] std::span<std::byte> stats() const;

  // What the control thread must know again, in its own encoding: at most kMaxRecord bytes. The old one
  // counts until the new one is complete.
  static constexpr std::size_t kMaxRecord = kRecordBytes / 2 - sizeof(std::uint32_t);
  [[nodiscard]] Result<> store_record(std::string_view record);
  [[nodiscard]] std::string record() const;  // empty: there is none

 private:
  Journal(UniqueFd fd, Mapping memory, std::uint32_t slots, std::uint32_t pages, bool adopted);
  [[nodiscard]] JournalHeader& header() const;
  [[nodiscard]] std::span<std::byte> record_memory(std::uint32_t which) const;

  UniqueFd fd_;
  Mapping memory_;
  std::uint32_t slots_;
  std::uint32_t pages_;
  bool adopted_;
};

}  // namespace bulkhead::supervisor
