#include "tcmuctl/human.h"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <ctime>

namespace bulkhead::tcmuctl {
namespace {

// Three significant digits without trailing zeros after the point.
std::string three_digits(double value) {
  int decimals = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
  std::string text = fmt::format("{:.{}f}", value, decimals);
  if (decimals == 0) return text;
  while (text.back() == '0') text.pop_back();
  if (text.back() == '.') text.pop_back();
  return text;
}

std::string two_units(std::uint64_t large, const char* large_unit, std::uint64_t small,
                      const char* small_unit) {
  if (small == 0) return fmt::format("{} {}", large, large_unit);
  return fmt::format("{} {} {} {}", large, large_unit, small, small_unit);
}

}  // namespace

std::string human_bytes(std::uint64_t bytes) {
  constexpr std::array kUnits = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  double value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (value >= 1023.5 && unit + 1 < kUnits.size()) {
    value /= 1024;
    ++unit;
  }
  return fmt::format("{} {}", three_digits(value), kUnits[unit]);
}

std::string human_duration(std::uint64_t usec) {
  if (usec < 1000) return fmt::format("{} us", usec);
  if (usec < 1'000'000) return fmt::format("{} ms", three_digits(static_cast<double>(usec) / 1e3));
  std::uint64_t seconds = usec / 1'000'000;
  if (seconds < 60)
    return fmt::format("{} s", three_digits(std::floor(static_cast<double>(usec) / 1e4) / 100));
  if (seconds < 3600) return two_units(seconds / 60, "min", seconds % 60, "s");
  if (seconds < 86400) return two_units(seconds / 3600, "h", seconds % 3600 / 60, "min");
  return two_units(seconds / 86400, "d", seconds % 86400 / 3600, "h");
}

std::string human_count(double value) {
  constexpr std::array kUnits = {"", "k", "M", "G", "T", "P", "E"};
  std::size_t unit = 0;
  while (value >= 999.5 && unit + 1 < kUnits.size()) {
    value /= 1000;
    ++unit;
  }
  return unit == 0 ? fmt::format("{:.0f}", value) : three_digits(value) + kUnits[unit];
}

std::string human_time(std::uint64_t usec) {
  if (usec == 0) return "-";
  auto seconds = static_cast<std::time_t>(usec / 1'000'000);
  std::tm utc{};
  ::gmtime_r(&seconds, &utc);
  std::array<char, 64> text{};
  std::strftime(text.data(), text.size(), "%Y-%m-%d %H:%M:%S UTC", &utc);
  return text.data();
}

}  // namespace bulkhead::tcmuctl
