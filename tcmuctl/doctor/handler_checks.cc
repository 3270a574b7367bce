// check_handlers(): apart from the other checks because it alone needs protobuf.
#include <fmt/format.h>
#include <google/protobuf/io/tokenizer.h>
#include <google/protobuf/text_format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <sstream>

#include "base/error.h"
#include "proto/handler.pb.h"
#include "tcmuctl/doctor/system_checks.h"

namespace bulkhead::tcmuctl {
namespace {

namespace fs = std::filesystem;

std::string folder_of(const Root& root) {
  return prefix_of(root) + "/lib/tcmu-bulkhead/handlers";
}

// Keeps the first error, counted from one as editors do.
class FirstError final : public google::protobuf::io::ErrorCollector {
 public:
  void AddError(int line, google::protobuf::io::ColumnNumber column, const std::string& message) override {
    if (text.empty()) text = fmt::format("line {}, column {}: {}", line + 1, column + 1, message);
  }
  std::string text;
};

// Whoever could write here could have code of his own run on a LUN's data.
bool belongs_to(uid_t owner, const fs::path& path) {
  struct stat facts{};
  return ::stat(path.c_str(), &facts) == 0 && facts.st_uid == owner &&
         (facts.st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

Finding not_owned(const std::string& name) {
  return {Health::Problem, fmt::format("{} can be written by others than root.", name),
          fmt::format("chown root:root {}; chmod go-w {}", name, name)};
}

Finding check_manifest(const fs::path& path, const std::string& shown_folder, uid_t owner) {
  std::string name = fmt::format("{}/{}", shown_folder, path.filename().string());
  std::ifstream file(path);
  if (!file)
    return {Health::Problem, fmt::format("The manifest {} can't be read: {}.", name, errno_text(errno)),
            "chmod 644 it; reinstall the handler"};
  if (!belongs_to(owner, path)) return not_owned(name);
  std::ostringstream text;
  text << file.rdbuf();
  HandlerManifest manifest;
  FirstError error;
  google::protobuf::TextFormat::Parser parser;
  parser.RecordErrorsTo(&error);
  if (!parser.ParseFromString(text.str(), &manifest))
    return {Health::Problem, fmt::format("The manifest {} is broken: {}.", name, error.text),
            "correct it (proto/handler.proto says what it may hold) or reinstall the handler"};
  std::string library = manifest.has_library() ? manifest.library() : "handler_" + manifest.subtype() + ".so";
  std::error_code ignored;
  if (!fs::is_regular_file(path.parent_path() / library, ignored))
    return {
        Health::Problem,
        fmt::format("Handler '{}': its library {}/{} is missing.", manifest.subtype(), shown_folder, library),
        "reinstall the handler"};
  if (!belongs_to(owner, path.parent_path() / library))
    return not_owned(fmt::format("{}/{}", shown_folder, library));
  return {Health::Good, fmt::format("Handler '{}': {}.", manifest.subtype(), manifest.name()), ""};
}

}  // namespace

Findings check_handlers(const Root& root, uid_t owner) {
  const std::string shown = folder_of(root);
  fs::path folder = root / shown.substr(1);
  std::error_code error;
  std::vector<fs::path> manifests;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error))
    if (it->path().extension() == ".textproto") manifests.push_back(it->path());
  if (error)
    return {{Health::Problem,
             fmt::format("The handler directory {} can't be read: {}.", shown, error.message()),
             "reinstall tcmu-bulkhead"}};
  if (!belongs_to(owner, folder)) return {not_owned(shown)};
  if (manifests.empty())
    return {{Health::Problem, fmt::format("There is no handler in {}.", shown),
             "install one; 'file' comes with tcmu-bulkhead"}};
  std::ranges::sort(manifests);
  Findings findings;
  for (const fs::path& manifest : manifests) findings.push_back(check_manifest(manifest, shown, owner));
  return findings;
}

}  // namespace bulkhead::tcmuctl
