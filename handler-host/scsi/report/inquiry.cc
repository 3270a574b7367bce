// INQUIRY (SPC-4 6.6): the standard data and the way to the VPD pages (vpd_pages.cc).
#include <algorithm>

#include "handler-host/scsi/commands.h"
#include "handler-host/scsi/device_type.h"
#include "handler-host/scsi/report/identity.h"
#include "handler-host/scsi/response.h"
#include "handler-host/scsi/task.h"
#include "handler-host/scsi/unit.h"

namespace bulkhead::scsi {
namespace {

using handler::IoStatus;

constexpr std::size_t kStandardBytes = 96;

std::string_view or_else(const std::string& chosen, std::string_view ours) {
  return chosen.empty() ? ours : std::string_view(chosen);
}

void put_standard(const Unit& unit, const Identity& identity, Response& response) {
  const DeviceType& type = unit.type();
  response.u8(type.peripheral_type);
  response.u8(0);     // not removable
  response.u8(0x06);  // VERSION: SPC-4. iscsi-test-cu calls 07h, SPC-5, invalid; no initiator gains by it.
  response.u8(0x02);  // RESPONSE DATA FORMAT
  response.u8(kStandardBytes - 5);
  response.u8(0x08);  // 3PC: third-party copy commands are supported
  response.u8(0);
  response.u8(0x02);  // CMDQUE
  response.padded(vendor_of(identity), 8);
  response.padded(or_else(identity.product, type.product), 16);
  response.padded(or_else(identity.revision, kRevision), 4);
  response.zeros(22);  // vendor specific, and transport
  for (const std::uint16_t descriptor : type.version_descriptors) response.u16(descriptor);
  response.zeros(kStandardBytes - response.size());
}

// SPC-4, "Vital product data parameters": qualifier and type, PAGE CODE, PAGE LENGTH, the page.
Flow vpd_page(Task& task, const VpdPageRow& row) {
  Response response;
  response.u8(task.unit().type().peripheral_type);
  response.u8(row.page);
  response.u16(0);
  row.build(task.unit(), task.identity(), response);
  response.set_u16(2, response.size() - 4);
  return task.good(response, task.cdb().u16<3>());
}

const VpdPageRow* find_page(const Unit& unit, std::uint8_t page) {
  const auto rows = unit.type().vpd_pages;
  const auto found = std::ranges::find(rows, page, &VpdPageRow::page);
  return found == rows.end() ? nullptr : &*found;
}

Flow identified(Task& task, IoStatus status) {
  if (status != IoStatus::Ok) return task.fail(status);
  if (task.cdb().bit(1, 0)) return vpd_page(task, *find_page(task.unit(), task.cdb()[2]));
  Response response;
  put_standard(task.unit(), task.identity(), response);
  return task.good(response, task.cdb().u16<3>());
}

}  // namespace

// Who the LUN is, is asked each time: targetcli sets the serial after the device is enabled, and may change
// it whenever nobody uses the LUN. If there is no answer the initiator gets BUSY and tries again; a made-up
// identity could make it take this disk for another.
Flow inquiry(Task& task) {
  const bool evpd = task.cdb().bit(1, 0);
  const std::uint8_t page = task.cdb()[2];
  if (!evpd && page != 0) return task.fail(invalid_cdb(2));
  if (!evpd) return task.ask_identity(identified);
  const VpdPageRow* row = find_page(task.unit(), page);
  if (row == nullptr) return task.fail(invalid_cdb(2));
  return row->needs_identity ? task.ask_identity(identified) : vpd_page(task, *row);
}

}  // namespace bulkhead::scsi
