#include "supervisor/config/command_line.h"

#include <CLI/CLI.hpp>
#include <sstream>

namespace bulkhead::supervisor {
namespace {

constexpr int kUsageExit = 2;

std::string must_be_absolute(const std::string& path) {
  return path.starts_with('/') ? std::string() : "must be an absolute path";
}

}  // namespace

std::expected<CommandLine, EarlyExit> parse_command_line(int count, const char* const* arguments,
                                                         const std::string& version) {
  CommandLine line;
  CLI::App app("Serves the TCM-User devices of the Linux SCSI target, one process per device.",
               "tcmu-supervisor");
  app.set_help_flag("-h,--help", "this text");
  app.set_version_flag("-V,--version", "tcmu-supervisor " + version, "the version");
  app.add_flag("-d,--debug", line.debug,
               "log everything, every command included, unless tcmu.conf sets log_level");
  app.add_option("-f,--nofile", line.open_files, "raise the limit of open files to this")
      ->check(CLI::Range(65536, 1048576));
  app.add_option("--handler-path", line.handler_folder, "folder of the handlers and their manifests")
      ->check(must_be_absolute);
  app.add_option("-l,--tcmu-log-dir", line.log_directory,
                 "also log to tcmu-runner.log in this folder, unless tcmu.conf sets log_dir")
      ->check(must_be_absolute);
  try {
    app.parse(count, arguments);
    return line;
  } catch (const CLI::ParseError& error) {
    std::ostringstream out;
    std::ostringstream problems;
    const int code = app.exit(error, out, problems);
    if (code != 0) problems << app.help();
    return std::unexpected(EarlyExit{code == 0 ? 0 : kUsageExit, out.str(), problems.str()});
  }
}

}  // namespace bulkhead::supervisor
