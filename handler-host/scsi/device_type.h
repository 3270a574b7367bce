// A device type: the tables that make a logical unit a disk, or later something else.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "handler-host/scsi/opcode_table.h"
#include "handler-host/scsi/report/log_pages.h"
#include "handler-host/scsi/report/mode_pages.h"
#include "handler-host/scsi/response.h"

namespace bulkhead::scsi {

class Unit;
struct Identity;

struct VpdPageRow {
  std::uint8_t page;
  // Adds the page after its 4-byte header.
  void (*build)(const Unit& unit, const Identity& identity, Response& response);
  bool needs_identity = false;  // else `identity` is empty
};

struct DeviceType {
  std::uint8_t peripheral_type;  // SPC-4, "Peripheral device type"
  std::string_view product;      // PRODUCT IDENTIFICATION, unless the administrator chose another
  std::array<std::uint16_t, 8> version_descriptors;  // SPC-4, "Version descriptor values"; 0: none
  std::span<const OpcodeRow> opcodes;
  std::span<const VpdPageRow> vpd_pages;  // ascending
  std::span<const ModePageRow> mode_pages;
  std::span<const LogPageRow> log_pages;  // ascending
};

[[nodiscard]] const DeviceType& disk();

}  // namespace bulkhead::scsi
