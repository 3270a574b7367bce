// The device type "direct access block device": a disk.
// Source of the usage maps: SPC-4 and SBC-3, the CDB tables of each command.
#include "handler-host/scsi/commands.h"
#include "handler-host/scsi/device_type.h"
#include "handler-host/scsi/vpd_pages.h"

namespace bulkhead::scsi {
namespace {

constexpr std::int16_t kNoSa = kNoServiceAction;
constexpr Replay kSafe = Replay::Safe;
constexpr Replay kNever = Replay::Never;
using enum Access;
constexpr auto kNoData = channel::Direction::None;
constexpr auto kIn = channel::Direction::In;
constexpr auto kOut = channel::Direction::Out;

// Of the age of SCSI-2; and of it, answered in spite of a unit attention.
constexpr Special kOld{.ignored_bits = kScsi2Lun};
constexpr Special kOldAlways{
    .attention = Attention::Waits, .ignored_bits = kScsi2Lun, .unfit_medium = UnfitMedium::Answered};
constexpr Special kOldTells{.ignored_bits = kScsi2Lun, .unfit_medium = UnfitMedium::Tells};
// It may have to wait until all of the cache is written back.
constexpr Special kFlushes{.timeout_s = 60};
constexpr Special kOldFlushes{.ignored_bits = kScsi2Lun, .timeout_s = 60};
constexpr Special kUnmapBit{.discard_bits = 0x08};
constexpr Special kAtomic{.needs = Needs::AtomicWrites};
constexpr Special kDiscards{.needs = Needs::Discard};
// All of the medium: hours for a large one.
constexpr std::uint16_t kAllOfIt = 4 * 3600;
constexpr Special kMends{.timeout_s = kAllOfIt, .unfit_medium = UnfitMedium::Mends};
constexpr Special kMendsByDiscard{
    .needs = Needs::Discard, .timeout_s = kAllOfIt, .unfit_medium = UnfitMedium::Mends};
constexpr Replay kNever = Replay::Never;

// The comments name the fields of the usage map, from byte 1 on. FUA_NV and SYNC_NV are SBC-2's. "group" is
// the GROUP NUMBER, which is taken and has no effect.
// clang-format off
constexpr OpcodeRow kOpcodes[] = {
    // TEST UNIT READY
    {0x00, kNoSa, {0x00}, kNoData, None, kSafe, test_unit_ready, kOldTells},
    // REQUEST SENSE: DESC; allocation length
    {0x03, kNoSa, {0x03, 0x01, 0x00, 0x00, 0xff}, kIn, None, kSafe, request_sense, kOldAlways},
    // READ(6), WRITE(6): LBA; count
    {0x08, kNoSa, {0x08, 0x1f, 0xff, 0xff, 0xff}, kIn, Reads, kSafe, read_blocks, kOld},
    {0x0a, kNoSa, {0x0a, 0x1f, 0xff, 0xff, 0xff}, kOut, Writes, kSafe, write_blocks, kOld},
    // INQUIRY: EVPD; page code; allocation length
    {0x12, kNoSa, {0x12, 0x01, 0xff, 0xff, 0xff}, kIn, None, kSafe, inquiry, kOldAlways},
    // MODE SELECT(6): PF, SP; parameter list length
    {0x15, kNoSa, {0x15, 0x11, 0x00, 0x00, 0xff}, kOut, None, kSafe, mode_select_6, kOld},
    // MODE SENSE(6): DBD; PC, page; subpage; allocation length
    {0x1a, kNoSa, {0x1a, 0x08, 0xff, 0xff, 0xff}, kIn, None, kSafe, mode_sense_6, kOld},
    // START STOP UNIT: IMMED; POWER CONDITION MODIFIER; POWER CONDITION, NO_FLUSH, LOEJ, START
    {0x1b, kNoSa, {0x1b, 0x01, 0x00, 0x0f, 0xf7}, kNoData, None, kSafe, start_stop_unit, kOldFlushes},
    // RECEIVE DIAGNOSTIC RESULTS: PCV; page code; allocation length
    {0x1c, kNoSa, {0x1c, 0x01, 0xff, 0xff, 0xff}, kIn, None, kSafe, receive_diagnostic_results, kOld},
    // SEND DIAGNOSTIC: PF, SELFTEST, DEVOFFL, UNITOFFL; parameter list length
    {0x1d, kNoSa, {0x1d, 0x17, 0x00, 0xff, 0xff}, kOut, None, kSafe, send_diagnostic, kFlushes},
    // READ CAPACITY(10)
    {0x25, kNoSa, {0x25}, kIn, None, kSafe, read_capacity_10, kOld},
    // READ(10), WRITE(10): DPO, FUA, FUA_NV; LBA; group; count
    {0x28, kNoSa, {0x28, 0x1a, 0xff, 0xff, 0xff, 0xff, 0x1f, 0xff, 0xff}, kIn, Reads, kSafe, read_blocks},
    {0x2a, kNoSa, {0x2a, 0x1a, 0xff, 0xff, 0xff, 0xff, 0x1f, 0xff, 0xff}, kOut, Writes, kSafe, write_blocks},
    // WRITE AND VERIFY(10), VERIFY(10): DPO, BYTCHK; LBA; group; count
    {0x2e, kNoSa, {0x2e, 0x16, 0xff, 0xff, 0xff, 0xff, 0x1f, 0xff, 0xff},
     kOut, Writes, kSafe, write_and_verify},
    {0x2f, kNoSa, {0x2f, 0x16, 0xff, 0xff, 0xff, 0xff, 0x1f, 0xff, 0xff}, kOut, Reads, kSafe, verify},
    // PRE-FETCH(10): IMMED; LBA; group; count
    {0x34, kNoSa, {0x34, 0x02, 0xff, 0xff, 0xff, 0xff, 0x1f, 0xff, 0xff}, kNoData, Reads, kSafe, pre_fetch},
    // SYNCHRONIZE CACHE(10): SYNC_NV, IMMED; LBA; group; count
    {0x35, kNoSa, {0x35, 0x06, 0xff, 0xff, 0xff, 0xff, 0x1f, 0xff, 0xff},
     kNoData, None, kSafe, synchronize_cache, kFlushes},
    // READ DEFECT DATA(10): REQ_PLIST, REQ_GLIST, format; allocation length
    {0x37, kNoSa, {0x37, 0x00, 0x1f, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff}, kIn, None, kSafe, read_defect_data},
    // WRITE SAME(10): UNMAP; LBA; group; count
    {0x41, kNoSa, {0x41, 0x08, 0xff, 0xff, 0xff, 0xff, 0x1f, 0xff, 0xff},
     kOut, Writes, kSafe, write_same, kUnmapBit},
    // UNMAP: group; parameter list length
    {0x42, kNoSa, {0x42, 0x00, 0x00, 0x00, 0x00, 0x00, 0x1f, 0xff, 0xff},
     kOut, Writes, kSafe, unmap, kDiscards},
    // SANITIZE OVERWRITE: IMMED, AUSE; parameter list length
    {0x48, 0x01, {0x48, 0xa1, 0x00, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff}, kOut, Writes, kNever, sanitize_overwrite,
     kMends},
    // SANITIZE BLOCK ERASE: IMMED, AUSE
    {0x48, 0x02, {0x48, 0xa2}, kOut, Writes, kNever, sanitize_block_erase, kMendsByDiscard},
    // SANITIZE EXIT FAILURE MODE: IMMED, AUSE
    {0x48, 0x1f, {0x48, 0xbf}, kOut, None, kNever, sanitize_exit_failure_mode, kMends},
    // LOG SELECT: PCR, SP; PC, page; subpage; parameter list length
    {0x4c, kNoSa, {0x4c, 0x03, 0xff, 0xff, 0x00, 0x00, 0x00, 0xff, 0xff}, kOut, None, kNever, log_select},
    // LOG SENSE: SP; PC, page; subpage; parameter pointer; allocation length
    {0x4d, kNoSa, {0x4d, 0x01, 0xff, 0xff, 0x00, 0xff, 0xff, 0xff, 0xff}, kIn, None, kSafe, log_sense},
    // MODE SELECT(10): PF, SP; parameter list length
    {0x55, kNoSa, {0x55, 0x11, 0x00, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff}, kOut, None, kSafe, mode_select_10},
    // MODE SENSE(10): LLBAA, DBD; PC, page; subpage; allocation length
    {0x5a, kNoSa, {0x5a, 0x18, 0xff, 0xff, 0x00, 0x00, 0x00, 0xff, 0xff}, kIn, None, kSafe, mode_sense_10},
    // READ(16): DPO, FUA, FUA_NV; LBA; count; group
    {0x88, kNoSa, {0x88, 0x1a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x1f},
     kIn, Reads, kSafe, read_blocks},
    // COMPARE AND WRITE: DPO, FUA; LBA; count; group
    {0x89, kNoSa, {0x89, 0x18, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0xff, 0x1f},
     kOut, Writes, kNever, compare_and_write},
    // WRITE(16): DPO, FUA, FUA_NV; LBA; count; group
    {0x8a, kNoSa, {0x8a, 0x1a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x1f},
     kOut, Writes, kSafe, write_blocks},
    // ORWRITE(16): DPO, FUA; LBA; count; group
    {0x8b, kNoSa, {0x8b, 0x18, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x1f},
     kOut, Writes, kNever, orwrite},
    // WRITE AND VERIFY(16), VERIFY(16): DPO, BYTCHK; LBA; count; group
    {0x8e, kNoSa, {0x8e, 0x16, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x1f},
     kOut, Writes, kSafe, write_and_verify},
    {0x8f, kNoSa, {0x8f, 0x16, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x1f},
     kOut, Reads, kSafe, verify},
    // PRE-FETCH(16): IMMED; LBA; count; group
    {0x90, kNoSa, {0x90, 0x02, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x1f},
     kNoData, Reads, kSafe, pre_fetch},
    // SYNCHRONIZE CACHE(16): SYNC_NV, IMMED; LBA; count; group
    {0x91, kNoSa, {0x91, 0x06, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x1f},
     kNoData, None, kSafe, synchronize_cache, kFlushes},
    // WRITE SAME(16): UNMAP, NDOB; LBA; count; group
    {0x93, kNoSa, {0x93, 0x09, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x1f},
     kOut, Writes, kSafe, write_same, kUnmapBit},
    // WRITE ATOMIC(16): DPO, FUA; LBA; no boundary; count; group
    {0x9c, kNoSa, {0x9c, 0x18, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0xff, 0xff, 0x1f},
     kOut, Writes, kSafe, write_atomic, kAtomic},
    // READ CAPACITY(16): allocation length
    {0x9e, 0x10, {0x9e, 0x10, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff},
     kIn, None, kSafe, read_capacity_16},
    // GET LBA STATUS(16): LBA; allocation length; report type
    {0x9e, 0x12, {0x9e, 0x12, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
     kIn, Reads, kSafe, get_lba_status},
    // REPORT SUPPORTED OPERATION CODES: RCTD, options; opcode; service action; allocation length
    {0xa3, 0x0c, {0xa3, 0x0c, 0x87, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, kIn, None, kSafe,
     report_supported_opcodes},
    // REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS: REPD; allocation length
    {0xa3, 0x0d, {0xa3, 0x0d, 0x80, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff}, kIn, None, kSafe,
     report_supported_task_management_functions},
    // REPORT TIMESTAMP: allocation length
    {0xa3, 0x0f, {0xa3, 0x0f, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff}, kIn, None, kSafe,
     report_timestamp},
    // READ(12), WRITE(12): DPO, FUA, FUA_NV; LBA; count; group
    {0xa8, kNoSa, {0xa8, 0x1a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x1f},
     kIn, Reads, kSafe, read_blocks},
    {0xaa, kNoSa, {0xaa, 0x1a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x1f},
     kOut, Writes, kSafe, write_blocks},
    // READ MEDIA SERIAL NUMBER: allocation length
    {0xab, 0x01, {0xab, 0x01, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff}, kIn, None, kSafe,
     read_media_serial_number},
    // WRITE AND VERIFY(12), VERIFY(12): DPO, BYTCHK; LBA; count; group
    {0xae, kNoSa, {0xae, 0x16, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x1f},
     kOut, Writes, kSafe, write_and_verify},
    {0xaf, kNoSa, {0xaf, 0x16, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x1f},
     kOut, Reads, kSafe, verify},
    // READ DEFECT DATA(12): REQ_PLIST, REQ_GLIST, format; address descriptor index; allocation length
    {0xb7, kNoSa, {0xb7, 0x1f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, kIn, None, kSafe,
     read_defect_data},
};
// clang-format on
static_assert(sound(kOpcodes));

}  // namespace

const DeviceType& disk() {
  static const DeviceType type{
      .peripheral_type = 0x00,
      .product = "TCMU device",
      .version_descriptors = {0x00a0, 0x0460, 0x04c0},  // SAM-5, SPC-4, SBC-3, no version claimed
      .opcodes = kOpcodes,
      .vpd_pages = disk_vpd_pages(),
      .mode_pages = disk_mode_pages(),
      .log_pages = disk_log_pages(),
  };
  return type;
}

}  // namespace bulkhead::scsi
