// The config string that handlers of ours share: `[path][?name=value[&name=value...]]`.
//
// The path and the values may hold %XX for any byte but NUL. Needed for what cannot travel otherwise: the
// kernel splits its control file at a comma and a newline, rtslib refuses a colon and cuts a saved string at
// a space, and '?' begins the options here. A literal percent sign is %25.
//
// The string is input: whoever may create a LUN wrote it. Pure; any thread. Errors: BadInput with a text that
// names the string, the byte and the remedy.
#pragma once

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace bulkhead::handler {

// What PATH_MAX leaves beside its NUL; the kernel carries far less (255 bytes with the subtype).
inline constexpr std::size_t kMaxConfigBytes = 4095;

struct Option {
  std::string name;
  std::string value;  // decoded
};

struct Cfgstring {
  std::string path;             // decoded; empty: none given
  std::vector<Option> options;  // as they came; no name twice
};

[[nodiscard]] Result<Cfgstring> parse_cfgstring(std::string_view text);

// Bytes fit for a log line: what is not printable UTF-8, and the space, becomes %XX.
[[nodiscard]] std::string shown(std::string_view bytes);

// One option of a handler: how a value is read into its Config. `set` answers false to a value it does not
// know.
template <class Config>
struct OptionRule {
  std::string_view name;
  std::string_view values;  // for the error: "on or off"
  bool (*set)(Config& config, std::string_view value);
};

namespace detail {
[[nodiscard]] Error unknown_option(std::string_view name, std::span<const std::string_view> known);
[[nodiscard]] Error bad_value(const Option& option, std::string_view values);
}  // namespace detail

// Reads every option by its rule.
template <class Config, std::size_t kRules>
[[nodiscard]] Result<> apply_options(const OptionRule<Config> (&rules)[kRules],
                                     const std::vector<Option>& options, Config& config) {
  for (const Option& option : options) {
    const OptionRule<Config>* found = nullptr;
    for (const OptionRule<Config>& rule : rules)
      if (rule.name == option.name) found = &rule;
    if (found == nullptr) {
      std::string_view known[kRules];
      for (std::size_t i = 0; i < kRules; ++i) known[i] = rules[i].name;
      return std::unexpected(detail::unknown_option(option.name, known));
    }
    if (!found->set(config, option.value)) return std::unexpected(detail::bad_value(option, found->values));
  }
  return {};
}

// Values that several options have.
[[nodiscard]] inline bool read_on_off(std::string_view value, bool& into) {
  if (value != "on" && value != "off") return false;
  into = value == "on";
  return true;
}
template <class Number>
[[nodiscard]] bool read_number(std::string_view value, Number most, Number& into) {
  Number number{};
  const auto [end, problem] = std::from_chars(value.data(), value.data() + value.size(), number);
  if (problem != std::errc{} || end != value.data() + value.size() || value.empty() || number > most)
    return false;
  into = number;
  return true;
}

}  // namespace bulkhead::handler
