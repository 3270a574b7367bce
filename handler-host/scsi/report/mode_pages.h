// Mode pages as data: what MODE SENSE shows and MODE SELECT accepts comes from the same rows.
// Source: SPC-4, "Mode parameters for all device types"; SBC-3, "Mode parameters for direct access block
// devices".
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace bulkhead::scsi {

class Unit;

// The PC field of MODE SENSE.
enum class PageControl : std::uint8_t { Current = 0, Changeable = 1, Default = 2, Saved = 3 };

// What a MODE SELECT asks for, gathered from all its pages before any of it is done.
struct ModeChanges {
  std::optional<bool> write_cache = std::nullopt;
  std::optional<bool> descriptor_sense = std::nullopt;
  std::optional<bool> software_write_protect = std::nullopt;
};

// A page is held without its header (page code, subpage code, length); those follow from the row.
struct ModePageRow {
  std::uint8_t page;
  std::uint8_t subpage;  // 0: page_0 format
  std::span<const std::uint8_t> defaults;
  std::span<const std::uint8_t> changeable;  // as long as `defaults`
  // Puts in what depends on the device or was changed since; null: nothing does.
  void (*adjust)(const Unit& unit, PageControl control, std::span<std::uint8_t> body) = nullptr;
  // Notes the changes; the body has passed the check against the changeable mask. Null: nothing is
  // changeable.
  void (*take)(std::span<const std::uint8_t> body, ModeChanges& changes) = nullptr;
  // Null: every unit of the type has the page.
  bool (*present)(const Unit& unit) = nullptr;

  [[nodiscard]] constexpr std::uint16_t order() const {
    return static_cast<std::uint16_t>(page << 8 | subpage);
  }
  [[nodiscard]] bool on(const Unit& unit) const { return present == nullptr || present(unit); }
  [[nodiscard]] constexpr std::size_t header_bytes() const { return subpage == 0 ? 2 : 4; }
};

inline constexpr std::size_t kLargestModePage = 64;

[[nodiscard]] constexpr bool sound(std::span<const ModePageRow> rows) {
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (rows[i].defaults.size() != rows[i].changeable.size() || rows[i].defaults.empty()) return false;
    if (rows[i].defaults.size() > kLargestModePage || rows[i].page >= 0x3f || rows[i].subpage == 0xff)
      return false;
    if (i > 0 && rows[i - 1].order() >= rows[i].order()) return false;
  }
  return true;
}

// The body of a page as PC asks for it; `control` is not Saved.
struct ModePageBody {
  std::array<std::uint8_t, kLargestModePage> bytes{};
  std::size_t size = 0;
  [[nodiscard]] std::span<const std::uint8_t> view() const { return std::span(bytes).first(size); }
};
[[nodiscard]] ModePageBody mode_page_body(const Unit& unit, const ModePageRow& row, PageControl control);

// The pages of a disk.
[[nodiscard]] std::span<const ModePageRow> disk_mode_pages();

}  // namespace bulkhead::scsi
