#include "handler-host/handlers/cfgstring/cfgstring.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cerrno>
#include <optional>

#include "base/printable.h"

namespace bulkhead::handler {
namespace {

std::unexpected<Error> refuse(std::string_view text, std::string_view reason) {
  return fail(Cause::BadInput, EINVAL, fmt::format("config string \"{}\": {}", shown(text), reason));
}

std::optional<unsigned> hex_digit(char c) {
  if (c >= '0' && c <= '9') return static_cast<unsigned>(c - '0');
  if (c >= 'a' && c <= 'f') return static_cast<unsigned>(c - 'a' + 10);
  if (c >= 'A' && c <= 'F') return static_cast<unsigned>(c - 'A' + 10);
  return std::nullopt;
}

// nullopt: a percent sign without its two digits, or an escaped NUL.
std::optional<std::string> decode(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    if (text.size() - i < 3) return std::nullopt;
    const auto high = hex_digit(text[i + 1]);
    const auto low = hex_digit(text[i + 2]);
    if (!high || !low || *high * 16 + *low == 0) return std::nullopt;
    out += static_cast<char>(*high * 16 + *low);
    i += 2;
  }
  return out;
}

constexpr std::string_view kBadEscape =
    "a percent sign must be followed by two hexadecimal digits that are not 00; write %25 for the sign "
    "itself";

// Raw bytes that would get lost on the way back through configfs, so that the LUN saved is not the LUN
// restored.
Result<> check_bytes(std::string_view text) {
  if (text.size() > kMaxConfigBytes)
    return fail(
        Cause::BadInput, ENAMETOOLONG,
        fmt::format("config string \"{}...\" has {} bytes, at most {} make sense: use a shorter path, for "
                    "instance by a symbolic link",
                    shown(text.substr(0, 64)), text.size(), kMaxConfigBytes));
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte > 0x20 && byte != 0x7f) continue;
    const std::string_view name = byte == ' '    ? "a space"
                                  : byte == '\n' ? "a newline"
                                                 : "a control character";
    if (byte == 0) return refuse(text, fmt::format("byte {} is NUL, which no path can hold", i + 1));
    return refuse(
        text, fmt::format("byte {} is {}, which does not survive saving and restoring the LUN; write %{:02X} "
                          "if it is meant",
                          i + 1, name, byte));
  }
  return {};
}

Result<Option> parse_option(std::string_view whole, std::string_view part) {
  const std::size_t equals = part.find('=');
  if (part.empty()) return refuse(whole, "an empty option; options look like ?ro=on&direct=off");
  if (equals == std::string_view::npos)
    return refuse(whole,
                  fmt::format("option {} has no value; options look like ?ro=on&direct=off", shown(part)));
  auto value = decode(part.substr(equals + 1));
  if (!value) return refuse(whole, kBadEscape);
  return Option{std::string(part.substr(0, equals)), std::move(*value)};
}

// Bytes of the printable character at the start; 0 if there is none.
std::size_t printable_character(std::string_view bytes) {
  constexpr std::size_t kLongest = 4;
  if (bytes[0] == ' ') return 0;
  for (std::size_t length = 1; length <= std::min(kLongest, bytes.size()); ++length)
    if (is_printable(bytes.substr(0, length))) return length;
  return 0;
}

}  // namespace

std::string shown(std::string_view bytes) {
  std::string out;
  while (!bytes.empty()) {
    const std::size_t length = printable_character(bytes);
    if (length == 0) {
      out += fmt::format("%{:02X}", static_cast<unsigned char>(bytes[0]));
      bytes.remove_prefix(1);
    } else {
      out += bytes.substr(0, length);
      bytes.remove_prefix(length);
    }
  }
  return out;
}

Result<Cfgstring> parse_cfgstring(std::string_view text) {
  if (auto good = check_bytes(text); !good) return std::unexpected(std::move(good.error()));
  const std::size_t question = text.find('?');
  auto path = decode(text.substr(0, question));
  if (!path) return refuse(text, kBadEscape);
  Cfgstring out{.path = std::move(*path), .options = {}};
  if (question == std::string_view::npos) return out;
  std::string_view rest = text.substr(question + 1);
  while (true) {
    const std::size_t end = rest.find('&');
    auto option = parse_option(text, rest.substr(0, end));
    if (!option) return std::unexpected(std::move(option.error()));
    if (std::ranges::any_of(out.options, [&](const Option& other) { return other.name == option->name; }))
      return refuse(text, fmt::format("option {} is there twice", shown(option->name)));
    out.options.push_back(std::move(*option));
    if (end == std::string_view::npos) return out;
    rest.remove_prefix(end + 1);
  }
}

namespace detail {

Error unknown_option(std::string_view name, std::span<const std::string_view> known) {
  return Error{Cause::BadInput, EINVAL,
               fmt::format("unknown option {}; there are {}", shown(name), fmt::join(known, ", "))};
}

Error bad_value(const Option& option, std::string_view values) {
  return Error{Cause::BadInput, EINVAL,
               fmt::format("option {}={}: the value must be {}", option.name, shown(option.value), values)};
}

}  // namespace detail
}  // namespace bulkhead::handler
