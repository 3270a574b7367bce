#include "supervisor/config/config_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/printable.h"
#include "base/unique_fd.h"

namespace bulkhead::supervisor {
namespace {

constexpr std::size_t kMaxFile = 1024 * 1024;
constexpr std::size_t kMaxProblems = 20;
constexpr std::string_view kBlanks = " \t";

bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
bool is_key_character(char c) {
  return is_letter(c) || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.';
}

std::string_view without_blanks_before(std::string_view text) {
  return text.substr(std::min(text.find_first_not_of(kBlanks), text.size()));
}
std::string_view without_blanks_after(std::string_view text) {
  return text.substr(0, text.find_last_not_of(kBlanks) + 1);
}

// May nothing but a comment follow?
bool ends_value(std::string_view rest) {
  rest = without_blanks_before(rest);
  return rest.empty() || rest.front() == '#';
}

// `text` begins with a quote or bracket. The closing one is the first that nothing but a comment follows.
// nullopt: there is none.
std::optional<std::string_view> enclosed(std::string_view text) {
  const char close = text.front() == '[' ? ']' : text.front();
  text.remove_prefix(1);
  for (std::size_t at = text.find(close); at != std::string_view::npos; at = text.find(close, at + 1))
    if (ends_value(text.substr(at + 1))) return text.substr(0, at);
  return std::nullopt;
}

std::string_view bare(std::string_view text) {
  for (std::size_t at = text.find('#'); at != std::string_view::npos; at = text.find('#', at + 1))
    if (at > 0 && kBlanks.find(text[at - 1]) != std::string_view::npos)
      return without_blanks_after(text.substr(0, at));
  return without_blanks_after(text);
}

class Parser {
 public:
  ConfigFile parse(std::string_view text) {
    while (!text.empty()) {
      const std::size_t end = std::min(text.find_first_of("\r\n"), text.size());
      ++line_;
      take(text.substr(0, end));
      // A line that ends in "\r\n" is one line.
      const bool both = text.substr(end, 2) == "\r\n";
      text.remove_prefix(std::min(end + (both ? 2 : 1), text.size()));
    }
    if (left_out_ > 0) file_.problems.push_back(fmt::format("{} more bad lines", left_out_));
    return std::move(file_);
  }

 private:
  void take(std::string_view line) {
    line = without_blanks_before(line);
    if (line.empty() || line.front() == '#') return;
    if (line.front() == '[') return take_section(line);
    if (!is_letter(line.front())) return complain("neither a key nor a comment", line);
    const auto key_end = std::ranges::find_if_not(line, is_key_character);
    const std::string_view key(line.begin(), key_end);
    std::string_view rest = without_blanks_before(line.substr(key.size()));
    if (ends_value(rest)) return add(key, std::nullopt);
    if (rest.front() != '=') return complain("no \"=\" after the key", line);
    rest = without_blanks_before(rest.substr(1));
    if (rest.empty() || (rest.front() != '"' && rest.front() != '\''))
      return add(key, std::string(bare(rest)));
    if (const auto text = enclosed(rest)) return add(key, std::string(*text));
    complain("a quote that is not closed", line);
  }

  void take_section(std::string_view line) {
    const auto name = enclosed(line);
    if (!name) return complain("a section's name that is not closed", line);
    file_.sections.push_back({line_, std::string(*name)});
    // Nobody's either, but not what stands before the first section.
    section_ = name->empty() ? "[]" : *name;
  }

  void add(std::string_view key, std::optional<std::string> value) {
    file_.entries.push_back({line_, std::string(key), std::move(value), section_});
  }
  void complain(std::string_view what, std::string_view line) {
    if (file_.problems.size() >= kMaxProblems)
      ++left_out_;
    else
      file_.problems.push_back(
          fmt::format("line {}: {}: \"{}\"", line_, what, printable(line.substr(0, 60))));
  }

  ConfigFile file_;
  std::string section_;
  std::size_t line_ = 0;
  std::size_t left_out_ = 0;
};

}  // namespace

ConfigFile parse_config(std::string_view text) {
  return Parser().parse(text);
}

Result<std::optional<ConfigFile>> read_config(const std::string& path) {
  // Non-blocking: a FIFO must not hold up the start.
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file && errno == ENOENT) return std::nullopt;
  if (!file) return fail_errno(errno, "open " + path);
  struct stat facts{};
  if (::fstat(file.get(), &facts) != 0) return fail_errno(errno, "look at " + path);
  if (!S_ISREG(facts.st_mode)) return fail(Cause::BadInput, EINVAL, path + " is not a regular file");
  std::string text;
  char buffer[16 * 1024];
  for (;;) {
    const ssize_t got = ::read(file.get(), buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail_errno(errno, "read " + path);
    if (got == 0) break;
    text.append(buffer, static_cast<std::size_t>(got));
    if (text.size() > kMaxFile) return fail(Cause::BadInput, EFBIG, path + " is larger than 1 MiB");
  }
  return parse_config(text);
}

}  // namespace bulkhead::supervisor
