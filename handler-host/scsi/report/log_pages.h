// Log pages as data: LOG SENSE, LOG SELECT and the lists of supported pages read the same rows.
// Source: SPC-4, "Log parameters" and the clauses of the pages.
//
// To add a page: a row in the device type's table (log_pages.cc), ascending, and a function that puts its
// parameters, in ascending order of their codes.
#pragma once

#include <cstdint>
#include <span>

#include "handler-host/api/handler.h"
#include "handler-host/scsi/response.h"

namespace bulkhead::scsi {

class Unit;

// What of a counter is asked for (the PC field). Lists have one value for both.
enum class LogValues : std::uint8_t { Cumulative, DefaultCumulative };

// The parameters of a page, from the one on that PARAMETER POINTER names.
class LogParameters {
 public:
  LogParameters(Response& response, LogValues values, std::uint16_t first)
      : response_(response), values_(values), first_(first) {}

  // A bounded data counter of 8 bytes.
  void counter(std::uint16_t code, std::uint64_t value);
  // A binary format list parameter.
  void list(std::uint16_t code, std::span<const std::uint8_t> bytes);
  // Was there one with PARAMETER POINTER's code or a greater one?
  [[nodiscard]] bool any() const { return any_; }

 private:
  [[nodiscard]] bool begin(std::uint16_t code, std::uint8_t control, std::size_t bytes);

  Response& response_;
  LogValues values_;
  std::uint16_t first_;
  bool any_ = false;
};

struct LogPageRow {
  std::uint8_t page;
  std::uint8_t subpage;
  // Null: the page is a list of pages, which LOG SENSE makes of the table.
  void (*put)(const Unit& unit, const handler::Space& space, LogParameters& parameters);
  // Sets its counters to zero; null: it has none.
  void (*reset)(Unit& unit) = nullptr;
  // It needs to know how much room there is, and is only there if that can be told; else `space` is empty.
  bool needs_space = false;

  [[nodiscard]] bool available(const Unit& unit) const;
  [[nodiscard]] constexpr std::uint16_t order() const {
    return static_cast<std::uint16_t>(page << 8 | subpage);
  }
};

// The pages of a disk.
[[nodiscard]] std::span<const LogPageRow> disk_log_pages();

}  // namespace bulkhead::scsi
