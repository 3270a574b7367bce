#include "supervisor/keeper/kept_name.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <utility>

namespace bulkhead::supervisor {
namespace {

// In the order of KeptKind. Words are for ever: another build reads them.
constexpr std::array<std::string_view, kKeptKinds> kWords{"journal",  "uio",      "control",     "pidfd",
                                                          "stderr",   "requests", "completions", "data",
                                                          "doorbell", "eventfd",  "witness"};
static_assert(std::to_underlying(KeptKind::Witness) + 1 == kWords.size());

constexpr std::string_view kPrefix = "lun";

}  // namespace

std::string format(const KeptName& name) {
  return fmt::format("{}{}.{}", kPrefix, name.lun, kWords[std::to_underlying(name.kind)]);
}

std::optional<KeptName> parse_kept_name(std::string_view text) {
  if (!text.starts_with(kPrefix)) return std::nullopt;
  text.remove_prefix(kPrefix.size());
  const std::size_t dot = text.find('.');
  if (dot == std::string_view::npos) return std::nullopt;
  const std::string_view number = text.substr(0, dot);
  // One spelling for each name, or the wrong one would be removed.
  if (number.size() > 1 && number.front() == '0') return std::nullopt;
  KeptName name;
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), name.lun);
  if (error != std::errc() || end != number.data() + number.size()) return std::nullopt;
  const std::string_view word = text.substr(dot + 1);
  for (std::size_t i = 0; i < kWords.size(); ++i) {
    if (kWords[i] != word) continue;
    name.kind = static_cast<KeptKind>(i);
    return name;
  }
  return std::nullopt;
}

}  // namespace bulkhead::supervisor
