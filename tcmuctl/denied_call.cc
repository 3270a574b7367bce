#include "tcmuctl/denied_call.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <seccomp.h>
#include <string.h>

#include <charconv>
#include <cstdint>
#include <cstdlib>
#include <memory>

#include "tcmuctl/human.h"

namespace bulkhead::tcmuctl {
namespace {

// What follows "NAME=" in a word of its own. The kernel writes whatever a process has named as hexadecimal
// digits if it holds a blank or a quote, so nobody can put a field into it.
std::optional<std::string_view> field(std::string_view record, std::string_view name) {
  for (std::size_t at = record.find(name); at != std::string_view::npos; at = record.find(name, at + 1)) {
    std::string_view rest = record.substr(at + name.size());
    if ((at != 0 && record[at - 1] != ' ') || !rest.starts_with('=')) continue;
    rest.remove_prefix(1);
    return rest.substr(0, rest.find(' '));
  }
  return std::nullopt;
}

template <class Number>
std::optional<Number> number(std::string_view text, int base = 10) {
  if (base == 16 && text.starts_with("0x")) text.remove_prefix(2);
  Number value{};
  const auto read = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (read.ec != std::errc() || read.ptr != text.data() + text.size()) return std::nullopt;
  return value;
}
template <class Number>
std::optional<Number> number_in(std::string_view record, std::string_view name, int base = 10) {
  const auto text = field(record, name);
  return text ? number<Number>(*text, base) : std::nullopt;
}

// "tcmu:file/d0" with its quotes, or hexadecimal digits.
std::string name_of(std::string_view text) {
  if (text.size() >= 2 && text.starts_with('"') && text.ends_with('"'))
    return std::string(text.substr(1, text.size() - 2));
  std::string name;
  for (std::size_t at = 0; at + 2 <= text.size(); at += 2) {
    const auto byte = number<std::uint8_t>(text.substr(at, 2), 16);
    if (!byte) return std::string(text);
    name += static_cast<char>(*byte);
  }
  return name;
}

std::string call_of(std::uint32_t architecture, int call) {
  const std::unique_ptr<char, decltype(&std::free)> name(
      ::seccomp_syscall_resolve_num_arch(architecture, call), &std::free);
  if (name) return name.get();
  return fmt::format("system call {} of architecture {:#x}, whose name is not known", call, architecture);
}

// The filter's answer, as SECCOMP_RET_... : what was done about the call.
std::string outcome_of(int signal, std::uint32_t code) {
  constexpr std::uint32_t kErrno = 0x0005'0000, kLog = 0x7ffc'0000, kAction = 0xffff'0000;
  if (signal != 0) {
    const char* name = ::sigabbrev_np(signal);
    return fmt::format("it was ended (SIG{})", name != nullptr ? name : "?");
  }
  if ((code & kAction) == kErrno) {
    const char* name = ::strerrorname_np(static_cast<int>(code & ~kAction));
    return fmt::format("it got {}", name != nullptr ? name : "an error");
  }
  return (code & kAction) == kLog ? "it went on" : fmt::format("the filter's answer was {:#x}", code);
}

// "audit(1795687983.848:2)": seconds since the epoch.
std::string time_of(std::string_view record) {
  constexpr std::string_view kBefore = "audit(";
  const std::size_t at = record.find(kBefore);
  if (at == std::string_view::npos) return "";
  const std::string_view rest = record.substr(at + kBefore.size());
  const auto seconds = number<std::uint32_t>(rest.substr(0, rest.find('.')));
  return seconds ? human_time(std::uint64_t{*seconds} * 1'000'000) + ": " : "";
}

bool is_denied_call(std::string_view record) {
  for (const std::string_view sign : {"type=1326 ", "type=SECCOMP ", "SECCOMP auid="})
    if (record.find(sign) != std::string_view::npos) return true;
  return false;
}

}  // namespace

std::optional<std::string> describe_denied_call(std::string_view record) {
  if (!is_denied_call(record)) return std::nullopt;
  const auto pid = number_in<std::uint32_t>(record, "pid");
  const auto architecture = number_in<std::uint32_t>(record, "arch", 16);
  const auto call = number_in<int>(record, "syscall");
  if (!pid || !architecture || !call) return std::nullopt;
  return fmt::format("{}{} (pid {}): {}; {}", time_of(record),
                     name_of(field(record, "comm").value_or("\"?\"")), *pid, call_of(*architecture, *call),
                     outcome_of(number_in<int>(record, "sig").value_or(0),
                                number_in<std::uint32_t>(record, "code", 16).value_or(0)));
}

Outcome<std::string> decode_seccomp(std::span<const std::string> words) {
  auto said = describe_denied_call(fmt::format("{}", fmt::join(words, " ")));
  if (said) return *said;
  return std::unexpected(
      Failure{ExitCode::Usage, "this is no audit record of a system call that a filter forbade (type=1326)"});
}

}  // namespace bulkhead::tcmuctl
