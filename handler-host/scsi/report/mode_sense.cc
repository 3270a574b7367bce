// MODE SENSE 6 and 10 (SPC-4, the clauses of these names).
#include <algorithm>
#include <limits>

#include "handler-host/scsi/commands.h"
#include "handler-host/scsi/device_type.h"
#include "handler-host/scsi/report/mode_pages.h"
#include "handler-host/scsi/response.h"
#include "handler-host/scsi/task.h"
#include "handler-host/scsi/unit.h"

namespace bulkhead::scsi {
namespace {

constexpr std::uint8_t kAllPages = 0x3f;
constexpr std::uint8_t kAllSubpages = 0xff;

struct Wanted {
  PageControl control;
  std::uint8_t page;
  std::uint8_t subpage;
  bool block_descriptor;
  bool long_lba;  // LLBAA: the block descriptor may be the long one
};

Wanted wanted_of(const Cdb& cdb) {
  return {static_cast<PageControl>(cdb[2] >> 6), static_cast<std::uint8_t>(cdb[2] & 0x3f), cdb[3],
          !cdb.bit(1, 3), cdb.bit(1, 4)};
}

// SBC-3, "Device-specific parameter": WP, DPOFUA.
std::uint8_t device_specific(const Unit& unit) {
  return static_cast<std::uint8_t>((unit.write_protected() ? 0x80 : 0x00) | 0x10);
}

// SBC-3, "Mode parameter block descriptors".
void put_block_descriptor(const Unit& unit, bool long_lba, Response& response) {
  const std::uint64_t blocks = unit.capacity().value;
  if (long_lba) {
    response.u64(blocks);
    response.u32(0);
  } else {
    response.u32(static_cast<std::uint32_t>(
        std::min<std::uint64_t>(blocks, std::numeric_limits<std::uint32_t>::max())));
  }
  response.u32(unit.block_bytes());  // short: a reserved byte and 3 bytes; no block is that long
}

void put_page(const Unit& unit, const ModePageRow& row, PageControl control, Response& response) {
  const ModePageBody body = mode_page_body(unit, row, control);
  if (row.subpage == 0) {
    response.u8(row.page);
    response.u8(static_cast<std::uint8_t>(body.size));
  } else {
    response.u8(row.page | 0x40);  // SPF
    response.u8(row.subpage);
    response.u16(static_cast<std::uint16_t>(body.size));
  }
  response.bytes(body.view());
}

bool asked_for(const ModePageRow& row, const Wanted& wanted) {
  const bool page = wanted.page == kAllPages || wanted.page == row.page;
  const bool subpage = wanted.subpage == kAllSubpages || wanted.subpage == row.subpage;
  return page && subpage;
}

// The pages, or what was wrong with the request.
std::optional<Sense> put_pages(const Unit& unit, const Wanted& wanted, Response& response) {
  if (wanted.control == PageControl::Saved) {
    Sense sense = illegal_request(asc::kSavingNotSupported);
    sense.field = FieldPointer{FieldPointer::Where::Cdb, 2, 7};  // PC
    return sense;
  }
  bool page_known = wanted.page == kAllPages;
  bool any = false;
  for (const ModePageRow& row : unit.type().mode_pages) {
    if (!row.on(unit)) continue;
    page_known = page_known || row.page == wanted.page;
    if (!asked_for(row, wanted)) continue;
    put_page(unit, row, wanted.control, response);
    any = true;
  }
  if (any) return std::nullopt;
  return page_known ? invalid_cdb(3) : invalid_cdb(2, 5);
}

}  // namespace

Flow mode_sense_6(Task& task) {
  const Unit& unit = task.unit();
  const Wanted wanted = wanted_of(task.cdb());
  Response response;
  response.u8(0);  // MODE DATA LENGTH
  response.u8(0);  // MEDIUM TYPE
  response.u8(device_specific(unit));
  response.u8(wanted.block_descriptor ? 8 : 0);
  if (wanted.block_descriptor) put_block_descriptor(unit, false, response);
  if (const auto refusal = put_pages(unit, wanted, response)) return task.fail(*refusal);
  BULKHEAD_CHECK(response.size() <= 256);  // all pages of a type must fit the one byte
  response.at(0) = static_cast<std::uint8_t>(response.size() - 1);
  return task.good(response, task.cdb()[4]);
}

Flow mode_sense_10(Task& task) {
  const Unit& unit = task.unit();
  const Wanted wanted = wanted_of(task.cdb());
  const bool long_lba = wanted.block_descriptor && wanted.long_lba;
  Response response;
  response.u16(0);  // MODE DATA LENGTH
  response.u8(0);   // MEDIUM TYPE
  response.u8(device_specific(unit));
  response.u8(long_lba ? 0x01 : 0x00);  // LONGLBA
  response.u8(0);
  response.u16(!wanted.block_descriptor ? 0 : long_lba ? 16 : 8);
  if (wanted.block_descriptor) put_block_descriptor(unit, long_lba, response);
  if (const auto refusal = put_pages(unit, wanted, response)) return task.fail(*refusal);
  response.set_u16(0, response.size() - 2);
  return task.good(response, task.cdb().u16<7>());
}

}  // namespace bulkhead::scsi
