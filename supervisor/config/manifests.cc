#include "supervisor/config/manifests.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <google/protobuf/io/tokenizer.h>
#include <google/protobuf/text_format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <filesystem>

#include "base/printable.h"
#include "base/unique_fd.h"

namespace bulkhead::supervisor {
namespace {

constexpr std::string_view kSuffix = ".textproto";
constexpr std::size_t kMaxManifest = 64 * 1024;
constexpr std::size_t kMaxSubtype = 31;

// The first complaint, with its line; protobuf would print them all to standard error.
class FirstComplaint final : public google::protobuf::io::ErrorCollector {
 public:
  void AddError(int line, int /*column*/, const std::string& message) override {
    if (text_.empty()) text_ = fmt::format("line {}: {}", line + 1, message);
  }
  [[nodiscard]] const std::string& text() const { return text_; }

 private:
  std::string text_;
};

std::string distrust(const std::string& path, const struct stat& facts, uid_t owner) {
  if (facts.st_uid != owner)
    return fmt::format("{} belongs to user {}, not to user {}: chown it", path, facts.st_uid, owner);
  if ((facts.st_mode & (S_IWGRP | S_IWOTH)) != 0)
    return fmt::format("{} can be written by others than its owner: chmod go-w it", path);
  return {};
}

// Reads what was checked: the descriptor, not the name a second time.
Result<std::string> read_trusted(const std::string& path, uid_t owner) {
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file) return fail_errno(errno, "open " + path);
  struct stat facts{};
  if (::fstat(file.get(), &facts) != 0) return fail_errno(errno, "look at " + path);
  if (!S_ISREG(facts.st_mode)) return fail(Cause::BadInput, EINVAL, path + " is not a regular file");
  if (std::string reason = distrust(path, facts, owner); !reason.empty())
    return fail(Cause::Denied, EPERM, std::move(reason));
  std::string text(kMaxManifest + 1, '\0');
  const ssize_t got = ::read(file.get(), text.data(), text.size());
  if (got < 0) return fail_errno(errno, "read " + path);
  text.resize(static_cast<std::size_t>(got));
  if (text.size() > kMaxManifest) return fail(Cause::BadInput, EFBIG, path + " is larger than 64 KiB");
  return text;
}

bool is_subtype(std::string_view text) {
  auto in = [](char c, char first, char last) { return c >= first && c <= last; };
  if (text.empty() || text.size() > kMaxSubtype || !in(text[0], 'a', 'z')) return false;
  return std::ranges::all_of(text, [&](char c) { return in(c, 'a', 'z') || in(c, '0', '9') || c == '_'; });
}

struct LimitRule {
  const char* name;
  std::uint32_t value, least, most;
};

std::string problem_in_limits(const HandlerManifest::Limits& limits) {
  const LimitRule rules[] = {{"open_seconds", limits.open_seconds(), 1, 600},
                             {"check_seconds", limits.check_seconds(), 1, 20},  // a D-Bus call ends after 25
                             {"close_seconds", limits.close_seconds(), 1, 600},
                             {"commands", limits.commands(), 1, 4096},
                             {"data_mebibytes", limits.data_mebibytes(), 1, 1024}};
  for (const LimitRule& rule : rules)
    if (rule.value < rule.least || rule.value > rule.most)
      return fmt::format("limits.{} is {}, not within {} to {}", rule.name, rule.value, rule.least,
                         rule.most);
  if (!std::has_single_bit(limits.commands()))
    return fmt::format("limits.commands is {}, not a power of two", limits.commands());
  return {};
}

std::string problem_in_needs(const HandlerManifest::Needs& needs) {
  for (const std::string& path : needs.path())
    if (!path.starts_with('/') || path.find_first_not_of('/') == std::string::npos)
      return fmt::format("needs.path \"{}\" is not an absolute path below /", printable(path));
  // Whether there is such a call is for the host to know.
  for (const std::string& name : needs.syscall())
    if (name.empty() || name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_") != std::string::npos)
      return fmt::format("needs.syscall \"{}\" is no name of a system call", printable(name));
  return {};
}

std::string problem_in(const HandlerManifest& manifest) {
  if (!is_subtype(manifest.subtype()))
    return fmt::format("subtype \"{}\" is not [a-z][a-z0-9_]* of at most 31 bytes",
                       printable(manifest.subtype()));
  // Both are shown on D-Bus, which wants UTF-8, and on terminals.
  for (const std::string* text : {&manifest.name(), &manifest.config_description()})
    if (!is_printable(*text)) return fmt::format("not one line of UTF-8: \"{}\"", printable(*text));
  if (manifest.library().find('/') != std::string::npos)
    return fmt::format("library \"{}\" is not a file name beside the manifest",
                       printable(manifest.library()));
  if (std::string problem = problem_in_needs(manifest.needs()); !problem.empty()) return problem;
  return problem_in_limits(manifest.limits());
}

std::string problem_with_library(const std::string& path, uid_t owner) {
  struct stat facts{};
  if (::stat(path.c_str(), &facts) != 0) return system_error(errno, path).what;
  if (!S_ISREG(facts.st_mode)) return path + " is not a regular file";
  return distrust(path, facts, owner);
}

Handler load_one(const std::filesystem::path& path, uid_t owner) {
  Handler handler;
  handler.manifest.set_subtype(printable(path.stem().string()));
  const Result<std::string> text = read_trusted(path, owner);
  if (!text) {
    handler.problem = text.error().what;
    return handler;
  }
  HandlerManifest manifest;
  FirstComplaint complaint;
  google::protobuf::TextFormat::Parser parser;
  parser.RecordErrorsTo(&complaint);
  if (!parser.ParseFromString(*text, &manifest)) {
    handler.problem = fmt::format("{}: {}", path.string(), printable(complaint.text()));
    return handler;
  }
  handler.problem = problem_in(manifest);
  if (!handler.problem.empty()) {
    handler.problem = fmt::format("{}: {}", path.string(), handler.problem);
    return handler;
  }
  const std::string library =
      manifest.has_library() ? manifest.library() : "handler_" + manifest.subtype() + ".so";
  handler.library = std::filesystem::absolute(path.parent_path() / library).lexically_normal();
  handler.manifest = std::move(manifest);
  handler.problem = problem_with_library(handler.library, owner);
  return handler;
}

}  // namespace

const Handler* HandlerRegistry::find(std::string_view subtype) const {
  const auto found =
      std::ranges::find_if(handlers_, [&](const Handler& h) { return h.manifest.subtype() == subtype; });
  return found == handlers_.end() ? nullptr : &*found;
}

const Handler* HandlerRegistry::tcmu_runner_would_take(std::string_view subtype) const {
  const auto found = std::ranges::find_if(handlers_, [&](const Handler& handler) {
    return handler.problem.empty() && handler.manifest.subtype().starts_with(subtype);
  });
  return found == handlers_.end() ? nullptr : &*found;
}

Result<HandlerRegistry> load_manifests(const std::string& folder, uid_t owner) {
  struct stat facts{};
  if (::stat(folder.c_str(), &facts) != 0) return fail_errno(errno, "handler folder " + folder);
  if (std::string reason = distrust(folder, facts, owner); !reason.empty())
    return fail(Cause::Denied, EPERM, "handler folder " + std::move(reason));
  std::error_code trouble;
  std::vector<std::filesystem::path> files;
  std::filesystem::directory_iterator entry(folder, trouble);
  for (; !trouble && entry != std::filesystem::directory_iterator(); entry.increment(trouble))
    if (entry->path().extension() == kSuffix) files.push_back(entry->path());
  if (trouble) return fail_errno(trouble.value(), "list handler folder " + folder);
  std::ranges::sort(files);
  std::vector<Handler> handlers;
  for (const std::filesystem::path& file : files) {
    Handler handler = load_one(file, owner);
    const bool taken = std::ranges::any_of(handlers, [&](const Handler& other) {
      return other.manifest.subtype() == handler.manifest.subtype();
    });
    if (taken && handler.problem.empty())
      handler.problem = fmt::format("{}: subtype \"{}\" is another manifest's too", file.string(),
                                    handler.manifest.subtype());
    handlers.push_back(std::move(handler));
  }
  return HandlerRegistry(std::move(handlers));
}

DevConfig split_dev_config(std::string_view dev_config) {
  const std::size_t slash = dev_config.find('/');
  if (slash == std::string_view::npos) return {dev_config, {}};
  return {dev_config.substr(0, slash), dev_config.substr(slash + 1)};
}

}  // namespace bulkhead::supervisor
