// MODE SELECT 6 and 10 (SPC-4, the clauses of these names).
//
// The whole list is checked before any of it takes effect: a page, a block descriptor or a bit that can't be
// had refuses the command with a pointer to it, a list that ends within one of them is a PARAMETER LIST
// LENGTH ERROR.
#include <algorithm>
#include <bit>
#include <limits>
#include <utility>

#include "base/endian.h"
#include "handler-host/scsi/commands.h"
#include "handler-host/scsi/device_type.h"
#include "handler-host/scsi/report/mode_pages.h"
#include "handler-host/scsi/task.h"
#include "handler-host/scsi/unit.h"

namespace bulkhead::scsi {
namespace {

using handler::IoStatus;
using Refusal = std::optional<Sense>;

const Sense kTooShort = illegal_request(asc::kParameterListLengthError);

// The list, and how far it was read.
struct List {
  std::span<const std::uint8_t> bytes;
  std::size_t at = 0;

  [[nodiscard]] std::span<const std::uint8_t> rest() const { return bytes.subspan(at); }
  [[nodiscard]] Sense wrong(std::size_t byte, std::optional<std::uint8_t> bit = std::nullopt) const {
    return invalid_parameter(static_cast<std::uint16_t>(at + byte), bit);
  }
};

// What a header of either form says.
struct Header {
  std::size_t bytes;
  std::size_t descriptor_bytes;
  bool long_lba;
};

// MODE DATA LENGTH is reserved and the device-specific parameter read-only here; initiators send back what
// MODE SENSE gave them, so neither is judged (Linux, sdparm).
Refusal read_header(const List& list, bool ten, Header& header) {
  header.bytes = ten ? 8 : 4;
  if (list.bytes.size() < header.bytes) return kTooShort;
  const auto bytes = list.bytes;
  const std::size_t medium_type = ten ? 2 : 1;
  if (bytes[medium_type] != 0) return list.wrong(medium_type);
  header.long_lba = ten && (bytes[4] & 0x01) != 0;
  header.descriptor_bytes = ten ? be16(bytes.subspan(6).first<2>()) : bytes[3];
  const std::size_t one = header.long_lba ? 16 : 8;
  if (header.descriptor_bytes != 0 && header.descriptor_bytes != one) return list.wrong(ten ? 6 : 3);
  return std::nullopt;
}

// A block descriptor may say what is so already: other sizes need FORMAT UNIT or an administrator.
Refusal check_block_descriptor(const Unit& unit, const List& list, bool long_lba) {
  const auto bytes = list.rest();
  if (bytes.size() < (long_lba ? 16u : 8u)) return kTooShort;
  const std::uint64_t blocks = long_lba ? be64(bytes.first<8>()) : be32(bytes.first<4>());
  const std::uint64_t shown =
      long_lba ? unit.capacity().value
               : std::min<std::uint64_t>(unit.capacity().value, std::numeric_limits<std::uint32_t>::max());
  if (blocks != 0 && blocks != shown) return list.wrong(0);
  const std::size_t length_at = long_lba ? 12 : 5;
  const std::uint32_t length =
      long_lba ? be32(bytes.subspan(12).first<4>()) : be24(bytes.subspan(5).first<3>());
  if (length != unit.block_bytes()) return list.wrong(length_at);
  return std::nullopt;
}

const ModePageRow* find_page(const Unit& unit, std::uint8_t page, std::uint8_t subpage) {
  const auto rows = unit.type().mode_pages;
  const auto found = std::ranges::find_if(
      rows, [&](const ModePageRow& row) { return row.page == page && row.subpage == subpage; });
  return found == rows.end() || !found->on(unit) ? nullptr : &*found;
}

// Bits outside the changeable mask must be what they are.
Refusal check_body(const Unit& unit, const ModePageRow& row, const List& list, std::size_t header) {
  const auto body = list.rest().subspan(header);
  const ModePageBody current = mode_page_body(unit, row, PageControl::Current);
  const ModePageBody changeable = mode_page_body(unit, row, PageControl::Changeable);
  for (std::size_t i = 0; i < current.size; ++i) {
    const auto wrong = static_cast<std::uint8_t>((body[i] ^ current.bytes[i]) & ~changeable.bytes[i]);
    if (wrong != 0) return list.wrong(header + i, static_cast<std::uint8_t>(std::bit_width(wrong) - 1));
  }
  return std::nullopt;
}

// One page at list.at; moves beyond it.
Refusal read_page(const Unit& unit, List& list, ModeChanges& changes) {
  const auto bytes = list.rest();
  if ((bytes[0] & 0x80) != 0) return list.wrong(0, 7);  // PS is reserved here
  const bool sub_page_format = (bytes[0] & 0x40) != 0;
  const std::size_t header = sub_page_format ? 4 : 2;
  if (bytes.size() < header) return kTooShort;
  const std::uint8_t subpage = sub_page_format ? bytes[1] : std::uint8_t{0};
  const ModePageRow* row = find_page(unit, bytes[0] & 0x3f, subpage);
  if (row == nullptr) return list.wrong(0, 5);
  if (header != row->header_bytes())
    return list.wrong(0, 6);  // the SPF bit and a page that has none, or without
  const std::size_t length = sub_page_format ? be16(bytes.subspan(2).first<2>()) : bytes[1];
  if (length != row->defaults.size()) return list.wrong(sub_page_format ? 2 : 1);
  if (bytes.size() < header + length) return kTooShort;
  if (auto refusal = check_body(unit, *row, list, header)) return refusal;
  if (row->take != nullptr) row->take(bytes.subspan(header, length), changes);
  list.at += header + length;
  return std::nullopt;
}

Refusal read_list(const Unit& unit, List list, bool ten, ModeChanges& changes) {
  Header header{};
  if (auto refusal = read_header(list, ten, header)) return refusal;
  list.at = header.bytes;
  if (header.descriptor_bytes != 0) {
    if (auto refusal = check_block_descriptor(unit, list, header.long_lba)) return refusal;
    list.at += header.descriptor_bytes;
  }
  while (!list.rest().empty())
    if (auto refusal = read_page(unit, list, changes)) return refusal;
  return std::nullopt;
}

// What can be changed, packed so that a task remembers it across an operation.
enum Setting : std::uint32_t { kCacheOn = 0x1, kDescriptors = 0x2, kProtected = 0x4 };

std::uint32_t settings(const Unit& unit) {
  return (unit.write_cache() ? kCacheOn : 0u) |
         (unit.sense_format() == SenseFormat::Descriptor ? kDescriptors : 0u) |
         (unit.software_write_protect() ? kProtected : 0u);
}

void set(Unit& unit, std::uint32_t settings) {
  if (unit.geometry().write_cache) unit.set_write_cache((settings & kCacheOn) != 0);
  unit.set_sense_format((settings & kDescriptors) != 0 ? SenseFormat::Descriptor : SenseFormat::Fixed);
  unit.set_software_write_protect((settings & kProtected) != 0);
}

// Which of them a command names.
std::uint32_t named_by(const ModeChanges& changes) {
  return (changes.write_cache ? kCacheOn : 0u) | (changes.descriptor_sense ? kDescriptors : 0u) |
         (changes.software_write_protect ? kProtected : 0u);
}

std::uint32_t wanted_by(const ModeChanges& changes) {
  return (changes.write_cache.value_or(false) ? kCacheOn : 0u) |
         (changes.descriptor_sense.value_or(false) ? kDescriptors : 0u) |
         (changes.software_write_protect.value_or(false) ? kProtected : 0u);
}

// progress: `index` what was before, `bytes` what of it this command sets, and from kWantedAt on to what.
constexpr unsigned kWantedAt = 8;

std::uint32_t named(const Task& task) {
  return task.progress.bytes & ((1u << kWantedAt) - 1);
}

void settle(Unit& unit, std::uint32_t which) {
  if ((which & kDescriptors) != 0) unit.settle_sense_format();
  if ((which & kProtected) != 0) unit.settle_software_write_protect();
}

// What others have set is theirs to settle. But one that ended may have settled what this one had set.
void over(Task& task) {
  if (task.unit().mode_select_over()) settle(task.unit(), kDescriptors | kProtected);
}

void take_back(Task& task) {
  set(task.unit(), (settings(task.unit()) & ~named(task)) | (task.progress.index & named(task)));
  over(task);
}

Flow flushed(Task& task, IoStatus status) {
  if (status == IoStatus::Ok) {
    settle(task.unit(), named(task));
    over(task);
    return task.good();
  }
  // The command failed, so it changed nothing.
  take_back(task);
  return task.fail(status);
}

// Another one that was through with it, or failed, may have set it to something else meanwhile.
Flow all_blocks_locked(Task& task, IoStatus) {
  Unit& unit = task.unit();
  const std::uint32_t now = settings(unit), wanted = task.progress.bytes >> kWantedAt;
  const std::uint32_t undone = (now ^ wanted) & named(task);
  task.progress.index = (task.progress.index & ~undone) | (now & undone);
  set(unit, now ^ undone);
  return task.flush(flushed);
}

// What was cached until the cache is switched off must reach the medium before the initiator may rely on
// there being no cache: what was answered, and what is under way and not durable by itself. Software write
// protection begins after the cached data has been written, too (SPC-4, "Control mode page"). Both also where
// nothing changes: another command that changed it may not be through yet.
Flow apply(Task& task, const ModeChanges& changes) {
  Unit& unit = task.unit();
  task.progress.index = settings(unit);
  task.progress.bytes = named_by(changes) | wanted_by(changes) << kWantedAt;
  set(unit, (task.progress.index & ~named(task)) | wanted_by(changes));
  const bool uncached = changes.write_cache == false && unit.geometry().write_cache;
  const bool protect = changes.software_write_protect == true;
  if (!uncached && !protect) {
    settle(unit, named(task));
    return task.good();
  }
  unit.mode_select_begins();
  task.undo = take_back;
  return task.lock({0, unit.capacity().value}, all_blocks_locked);
}

Flow mode_select(Task& task, bool ten) {
  const std::size_t length = ten ? task.cdb().u16<7>() : task.cdb()[4];
  if (task.cdb().bit(1, 0)) return task.fail(invalid_cdb(1, 0));  // SP: nothing is saved
  if (length == 0) return task.good();
  if (!task.cdb().bit(1, 4)) return task.fail(invalid_cdb(1, 4));  // PF 0: a vendor specific list
  if (length > task.data().size()) return task.fail(kTooShort);
  ModeChanges changes;
  if (const auto refusal = read_list(task.unit(), List{task.list().first(length)}, ten, changes))
    return task.fail(*refusal);
  return apply(task, changes);
}

}  // namespace

Flow mode_select_6(Task& task) {
  return mode_select(task, false);
}
Flow mode_select_10(Task& task) {
  return mode_select(task, true);
}

}  // namespace bulkhead::scsi
