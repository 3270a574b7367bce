// LOG SENSE and LOG SELECT (SPC-4, the clauses of these names).
#include <algorithm>

#include "handler-host/scsi/commands.h"
#include "handler-host/scsi/device_type.h"
#include "handler-host/scsi/report/log_pages.h"
#include "handler-host/scsi/response.h"
#include "handler-host/scsi/task.h"
#include "handler-host/scsi/unit.h"

namespace bulkhead::scsi {
namespace {

// The PC field.
constexpr std::uint8_t kCumulative = 1;
constexpr std::uint8_t kDefaultCumulative = 3;

constexpr std::uint8_t kAllSubpages = 0xff;

std::uint8_t page_of(const Cdb& cdb) {
  return cdb[2] & 0x3f;
}

const LogPageRow* find_page(const Unit& unit, std::uint8_t page, std::uint8_t subpage) {
  const auto rows = unit.type().log_pages;
  const auto found = std::ranges::find_if(rows, [&](const LogPageRow& row) {
    return row.page == page && row.subpage == subpage && row.available(unit);
  });
  return found == rows.end() ? nullptr : &*found;
}

// What is wrong with the page asked for: its code, or the subpage of one that there is.
Sense unknown_page(const Unit& unit, const Cdb& cdb) {
  const bool known = std::ranges::any_of(unit.type().log_pages,
                                         [&](const LogPageRow& row) { return row.page == page_of(cdb); });
  return known ? invalid_cdb(3) : invalid_cdb(2, 5);
}

// "Supported Log Pages" and "Supported Log Pages and Subpages".
void put_list_of_pages(const Unit& unit, bool with_subpages, Response& response) {
  for (const LogPageRow& row : unit.type().log_pages) {
    if (!row.available(unit) || (!with_subpages && row.subpage != 0)) continue;
    response.u8(row.page);
    if (with_subpages) response.u8(row.subpage);
  }
}

LogValues values_of(const Cdb& cdb) {
  return cdb[2] >> 6 == kCumulative ? LogValues::Cumulative : LogValues::DefaultCumulative;
}

Flow put_page(Task& task, const LogPageRow& row) {
  const Cdb& cdb = task.cdb();
  const std::uint16_t pointer = cdb.u16<5>();
  Response response;
  // DS: saving is disabled, of pages that could be saved; SPF
  response.u8(static_cast<std::uint8_t>((row.put != nullptr ? 0x80 : 0x00) |
                                        (row.subpage != 0 ? 0x40 : 0x00) | row.page));
  response.u8(row.subpage);
  response.u16(0);
  if (row.put == nullptr) {
    if (pointer != 0) return task.fail(invalid_cdb(5));  // there are no parameters to point at
    put_list_of_pages(task.unit(), row.subpage == kAllSubpages, response);
  } else {
    LogParameters parameters(response, values_of(cdb), pointer);
    row.put(task.unit(), task.space(), parameters);
    if (!parameters.any()) return task.fail(invalid_cdb(5));  // beyond the last parameter
  }
  response.set_u16(2, response.size() - 4);
  return task.good(response, cdb.u16<7>());
}

Flow space_found(Task& task, handler::IoStatus status) {
  if (status != handler::IoStatus::Ok) return task.fail(status);
  return put_page(task, *find_page(task.unit(), page_of(task.cdb()), task.cdb()[3]));
}

}  // namespace

// There are no thresholds, so asking for them is refused.
Flow log_sense(Task& task) {
  const Cdb& cdb = task.cdb();
  const Unit& unit = task.unit();
  const auto control = static_cast<std::uint8_t>(cdb[2] >> 6);
  if (cdb.bit(1, 0)) return task.fail(invalid_cdb(1, 0));  // SP: nothing is saved
  if (control != kCumulative && control != kDefaultCumulative) return task.fail(invalid_cdb(2, 7));
  const LogPageRow* row = find_page(unit, page_of(cdb), cdb[3]);
  if (row == nullptr) return task.fail(unknown_page(unit, cdb));
  return row->needs_space ? task.find_space(space_found) : put_page(task, *row);
}

// Sets counters to zero (PCR), those of one page or, with page code 00h, of all. There is nothing that a
// parameter list could set.
Flow log_select(Task& task) {
  const Cdb& cdb = task.cdb();
  Unit& unit = task.unit();
  const std::uint8_t page = page_of(cdb);
  if (cdb.bit(1, 0)) return task.fail(invalid_cdb(1, 0));   // SP: nothing is saved
  if (cdb.u16<7>() != 0) return task.fail(invalid_cdb(7));  // PARAMETER LIST LENGTH
  if (find_page(unit, page, cdb[3]) == nullptr) return task.fail(unknown_page(unit, cdb));
  if (!cdb.bit(1, 1)) return task.good();  // no PCR and no list: not an error
  for (const LogPageRow& row : unit.type().log_pages)
    if (row.reset != nullptr && (page == 0 || row.page == page)) row.reset(unit);
  return task.good();
}

}  // namespace bulkhead::scsi
