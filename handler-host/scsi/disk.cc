// The device type "direct access block device": a disk.
// Source of the usage maps: SPC-4 and SBC-3, the CDB tables of each command.
#include "handler-host/scsi/commands.h"
#include "handler-host/scsi/device_type.h"
#include "handler-host/scsi/vpd_pages.h"

namespace bulkhead::scsi {
namespace {

constexpr std::int16_t kNoSa = kNoServiceAction;
constexpr Replay kSafe = Replay::Safe;
using enum Access;
constexpr auto kNoData = channel::Direction::None;
constexpr auto kIn = channel::Direction::In;
constexpr auto kOut = channel::Direction::Out;

// Of the age of SCSI-2; and of it, answered in spite of a unit attention.
constexpr Special kOld{.ignored_bits = kScsi2Lun};
constexpr Special kOldAlways{.attention = Attention::Waits, .ignored_bits = kScsi2Lun};
constexpr Special kUnmapBit{.discard_bits = 0x08};
constexpr Special kDiscards{.needs = Needs::Discard};

// The comments name the fields of the usage map, from byte 1 on. FUA_NV and SYNC_NV are SBC-2's. "group" is
// the GROUP NUMBER, which is taken and has no effect.
// clang-format off
constexpr OpcodeRow kOpcodes[] = {
    // TEST UNIT READY
    {0x00, kNoSa, {0x00}, kNoData, None, kSafe, test_unit_ready, kOld},
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
    {0x1b, kNoSa, {0x1b, 0x01, 0x00, 0x0f, 0xf7}, kNoData, None, kSafe, start_stop_unit, kOld},
    // READ CAPACITY(10)
    {0x25, kNoSa, {0x25}, kIn, None, kSafe, read_capacity_10, kOld},
    // READ(10), WRITE(10): DPO, FUA, FUA_NV; LBA; group; count
    {0x28, kNoSa, {0x28, 0x1a, 0xff, 0xff, 0xff, 0xff, 0x1f, 0xff, 0xff}, kIn, Reads, kSafe, read_blocks},
    {0x2a, kNoSa, {0x2a, 0x1a, 0xff, 0xff, 0xff, 0xff, 0x1f, 0xff, 0xff}, kOut, Writes, kSafe, write_blocks},
    // SYNCHRONIZE CACHE(10): SYNC_NV, IMMED; LBA; group; count
    {0x35, kNoSa, {0x35, 0x06, 0xff, 0xff, 0xff, 0xff, 0x1f, 0xff, 0xff},
     kNoData, None, kSafe, synchronize_cache},
    // WRITE SAME(10): UNMAP; LBA; group; count
    {0x41, kNoSa, {0x41, 0x08, 0xff, 0xff, 0xff, 0xff, 0x1f, 0xff, 0xff},
     kOut, Writes, kSafe, write_same, kUnmapBit},
    // UNMAP: group; parameter list length
    {0x42, kNoSa, {0x42, 0x00, 0x00, 0x00, 0x00, 0x00, 0x1f, 0xff, 0xff},
     kOut, Writes, kSafe, unmap, kDiscards},
    // MODE SELECT(10): PF, SP; parameter list length
    {0x55, kNoSa, {0x55, 0x11, 0x00, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff}, kOut, None, kSafe, mode_select_10},
    // MODE SENSE(10): LLBAA, DBD; PC, page; subpage; allocation length
    {0x5a, kNoSa, {0x5a, 0x18, 0xff, 0xff, 0x00, 0x00, 0x00, 0xff, 0xff}, kIn, None, kSafe, mode_sense_10},
    // READ(16), WRITE(16): DPO, FUA, FUA_NV; LBA; count; group
    {0x88, kNoSa, {0x88, 0x1a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x1f},
     kIn, Reads, kSafe, read_blocks},
    {0x8a, kNoSa, {0x8a, 0x1a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x1f},
     kOut, Writes, kSafe, write_blocks},
    // SYNCHRONIZE CACHE(16): SYNC_NV, IMMED; LBA; count; group
    {0x91, kNoSa, {0x91, 0x06, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x1f},
     kNoData, None, kSafe, synchronize_cache},
    // WRITE SAME(16): UNMAP, NDOB; LBA; count; group
    {0x93, kNoSa, {0x93, 0x09, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x1f},
     kOut, Writes, kSafe, write_same, kUnmapBit},
    // READ CAPACITY(16): allocation length
    {0x9e, 0x10, {0x9e, 0x10, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff},
     kIn, None, kSafe, read_capacity_16},
    // REPORT SUPPORTED OPERATION CODES: RCTD, options; opcode; service action; allocation length
    {0xa3, 0x0c, {0xa3, 0x0c, 0x87, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, kIn, None, kSafe,
     report_supported_opcodes},
    // READ(12), WRITE(12): DPO, FUA, FUA_NV; LBA; count; group
    {0xa8, kNoSa, {0xa8, 0x1a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x1f},
     kIn, Reads, kSafe, read_blocks},
    {0xaa, kNoSa, {0xaa, 0x1a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x1f},
     kOut, Writes, kSafe, write_blocks},
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
  };
  return type;
}

}  // namespace bulkhead::scsi
