#include "handler-host/scsi/report/log_pages.h"

#include <algorithm>
#include <array>

#include "handler-host/scsi/report/lbp_log.h"
#include "handler-host/scsi/unit.h"

namespace bulkhead::scsi {
namespace {

// SPC-4, "Log parameter control byte": DU, TSD, ETC, TMC, FORMAT AND LINKING. TSD: nothing is saved.
constexpr std::uint8_t kBoundedCounter = 0x20;
constexpr std::uint8_t kBinaryList = 0x20 | 0x03;

// SPC-4, "Error counter log pages". What is corrected before we see it, nobody tells us, so those parameters
// are not there.
void put_error_counters(const ErrorCounters::Direction& direction, LogParameters& parameters) {
  parameters.counter(0x0005, direction.bytes);        // total bytes processed
  parameters.counter(0x0006, direction.uncorrected);  // total uncorrected errors
}

void write_errors(const Unit& unit, const handler::Space&, LogParameters& parameters) {
  put_error_counters(unit.errors().written, parameters);
}
void reset_write_errors(Unit& unit) {
  unit.errors().written = {};
}

void read_errors(const Unit& unit, const handler::Space&, LogParameters& parameters) {
  put_error_counters(unit.errors().read, parameters);
}
void reset_read_errors(Unit& unit) {
  unit.errors().read = {};
}

void non_medium_errors(const Unit& unit, const handler::Space&, LogParameters& parameters) {
  parameters.counter(0x0000, unit.errors().non_medium);
}
void reset_non_medium_errors(Unit& unit) {
  unit.errors().non_medium = 0;
}

// SPC-4, "Informational Exceptions log page": none is pending (DEXCPT in the mode page), and there is no
// thermometer, which is also why there is no Temperature page.
void informational_exceptions(const Unit&, const handler::Space&, LogParameters& parameters) {
  constexpr std::array<std::uint8_t, 4> kGeneral{0x00, 0x00, 0xff, 0x00};  // code, qualifier, temperature
  parameters.list(0x0000, kGeneral);
}

constexpr LogPageRow kRows[] = {
    {0x00, 0x00, nullptr},
    {0x00, 0xff, nullptr},
    {0x02, 0x00, write_errors, reset_write_errors},
    {0x03, 0x00, read_errors, reset_read_errors},
    {0x06, 0x00, non_medium_errors, reset_non_medium_errors},
    {kLbpLogPage, 0x00, put_lbp_log, nullptr, true},
    {0x2f, 0x00, informational_exceptions},
};
static_assert(std::ranges::is_sorted(kRows, {}, &LogPageRow::order));

}  // namespace

bool LogPageRow::available(const Unit& unit) const {
  return !needs_space || unit.has_thresholds();
}

bool LogParameters::begin(std::uint16_t code, std::uint8_t control, std::size_t bytes) {
  if (code < first_) return false;
  any_ = true;
  response_.u16(code);
  response_.u8(control);
  response_.u8(static_cast<std::uint8_t>(bytes));
  return true;
}

void LogParameters::counter(std::uint16_t code, std::uint64_t value) {
  if (begin(code, kBoundedCounter, sizeof value))
    response_.u64(values_ == LogValues::Cumulative ? value : std::uint64_t{0});
}

void LogParameters::list(std::uint16_t code, std::span<const std::uint8_t> bytes) {
  if (begin(code, kBinaryList, bytes.size())) response_.bytes(bytes);
}

std::span<const LogPageRow> disk_log_pages() {
  return kRows;
}

}  // namespace bulkhead::scsi
