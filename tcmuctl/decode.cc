#include "tcmuctl/decode.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <string_view>
#include <utility>

#include "handler-host/scsi/words.h"

namespace bulkhead::tcmuctl {
namespace {

// The longest CDB, of the variable length format (SPC-4 4.2.3), is 260 bytes; sense data are 252 at most.
constexpr std::size_t kMostBytes = 260;

std::unexpected<Failure> usage(std::string text) {
  return std::unexpected(Failure{ExitCode::Usage, std::move(text)});
}

// A run of hexadecimal digits, without what separates it from others.
Outcome<> take(std::string_view digits, std::vector<std::uint8_t>& bytes) {
  const std::string_view given = digits;
  if (digits.starts_with("0x") || digits.starts_with("0X")) digits.remove_prefix(2);
  const bool single = digits.size() == 1;
  if (digits.empty() || (!single && digits.size() % 2 != 0))
    return usage(fmt::format("'{}' is not a whole number of bytes: two hexadecimal digits each", given));
  for (std::size_t at = 0; at < digits.size(); at += 2) {
    const std::string_view pair = digits.substr(at, 2);
    std::uint8_t byte = 0;
    const auto read = std::from_chars(pair.data(), pair.data() + pair.size(), byte, 16);
    if (read.ec != std::errc() || read.ptr != pair.data() + pair.size())
      return usage(fmt::format("'{}' is not hexadecimal", given));
    bytes.push_back(byte);
  }
  if (bytes.size() > kMostBytes) return usage(fmt::format("more than {} bytes", kMostBytes));
  return {};
}

}  // namespace

Outcome<std::vector<std::uint8_t>> parse_hex(std::span<const std::string> words) {
  constexpr std::string_view kBetween = " \t,:[]";
  std::vector<std::uint8_t> bytes;
  for (const std::string& word : words) {
    std::string_view rest = word;
    while (true) {
      rest.remove_prefix(std::min(rest.find_first_not_of(kBetween), rest.size()));
      if (rest.empty()) break;
      const std::size_t length = std::min(rest.find_first_of(kBetween), rest.size());
      if (auto taken = take(rest.substr(0, length), bytes); !taken) return std::unexpected(taken.error());
      rest.remove_prefix(length);
    }
  }
  if (bytes.empty()) return usage("no bytes given");
  return bytes;
}

Outcome<std::string> decode_cdb(std::span<const std::string> words) {
  auto bytes = parse_hex(words);
  if (!bytes) return std::unexpected(bytes.error());
  return std::string(scsi::describe_cdb(*bytes).view());
}

Outcome<std::string> decode_sense(std::span<const std::string> words) {
  auto bytes = parse_hex(words);
  if (!bytes) return std::unexpected(bytes.error());
  return std::string(scsi::describe_sense(*bytes).view());
}

}  // namespace bulkhead::tcmuctl
