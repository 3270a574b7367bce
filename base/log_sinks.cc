#define SD_JOURNAL_SUPPRESS_LOCATION
#include "base/log_sinks.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <systemd/sd-journal.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <iterator>
#include <vector>

#include "base/error.h"

namespace bulkhead {
namespace {

std::string time_text(std::int64_t usec, const char* format) {
  const std::time_t seconds = usec / 1'000'000;
  std::tm parts{};
  ::localtime_r(&seconds, &parts);
  std::array<char, 32> text{};
  const std::size_t size = std::strftime(text.data(), text.size(), format, &parts);
  return fmt::format("{}.{:03}", std::string_view(text.data(), size), usec / 1000 % 1000);
}

// Writes all of it or says why not (errno).
int write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t wrote = ::write(fd, bytes.data(), bytes.size());
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) return errno;
    bytes.remove_prefix(static_cast<std::size_t>(wrote));
  }
  return 0;
}

// tcmu-runner's short level names, which log watchers know.
constexpr std::string_view kFileLevels[] = {"CRIT", "ERROR", "WARN", "INFO", "DEBUG", "DEBUG_SCSI_CMD"};

// systemd tells its services which device and inode the journal's stream is (systemd.exec(5),
// JOURNAL_STREAM).
bool is_journal_stream(int fd) {
  const char* stream = std::getenv("JOURNAL_STREAM");
  struct stat facts{};
  return stream != nullptr && ::fstat(fd, &facts) == 0 &&
         fmt::format("{}:{}", facts.st_dev, facts.st_ino) == stream;
}

std::string_view backstore_name(std::string_view device) {
  return device.substr(device.rfind('/') + 1);
}

}  // namespace

std::string_view short_function_name(std::string_view pretty) {
  std::string_view name = pretty.substr(0, pretty.find('('));
  return name.substr(name.find_last_of(" :*&") + 1);
}

LogSinks::LogSinks(LogOptions options) : options_(std::move(options)), directory_(options_.directory) {
  look_around();
  open_file();
}

void LogSinks::look_around() {
  journal_ = ::access(options_.journal_socket.c_str(), W_OK) == 0;
  terminal_ = ::isatty(options_.stderr_fd) == 1;
  stderr_is_journal_ = is_journal_stream(options_.stderr_fd);
}

void LogSinks::set_directory(std::optional<std::string> directory) {
  if (directory == directory_) return;
  directory_ = std::move(directory);
  open_file();
}

void LogSinks::open_file() {
  file_.reset();
  file_trouble_told_ = false;
  if (!directory_) return;
  std::error_code trouble;
  std::filesystem::create_directories(*directory_, trouble);  // whether it worked, the open says
  const std::string path = *directory_ + "/" + std::string(kLogFileName);
  file_.reset(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0600));
  if (!file_) file_trouble(errno, "open");
}

void LogSinks::write(const LogRecord& record) {
  // One line per CDB would drown the journal: with a file they go there alone.
  const bool for_file_only = record.level == Level::DebugScsi && file_.valid();
  const bool in_journal = !for_file_only && journal_ && to_journal(record);
  // Why the process ends belongs to whoever started it, wherever the rest goes.
  const bool for_caller = record.level == Level::Critical && !stderr_is_journal_;
  if (terminal_ || for_caller || !(in_journal || for_file_only)) to_stderr(record);
  if (file_) to_file(record);
}

bool LogSinks::to_journal(const LogRecord& record) const {
  std::vector<std::string> fields;
  auto add = [&fields](std::string_view name, auto value) {
    fields.push_back(fmt::format("{}={}", name, value));
  };
  add("MESSAGE", record.text.view());
  add("PRIORITY", syslog_severity(record.level));
  add("SYSLOG_IDENTIFIER", options_.identifier);
  add("CODE_FILE", record.where.file_name());
  add("CODE_LINE", record.where.line());
  add("CODE_FUNC", short_function_name(record.where.function_name()));
  if (!record.device.view().empty()) add("DEVICE", record.device.view());
  if (!record.subtype.view().empty()) add("SUBTYPE", record.subtype.view());
  if (record.host_pid != 0) add("HOST_PID", record.host_pid);
  if (record.sys_errno != 0) add("ERRNO", record.sys_errno);
  if (record.message_id.hex != nullptr) add("MESSAGE_ID", record.message_id.hex);
  std::vector<iovec> parts;
  parts.reserve(fields.size());
  for (std::string& field : fields) parts.push_back({field.data(), field.size()});
  auto* send = options_.journal_send != nullptr ? options_.journal_send : &::sd_journal_sendv;
  return send(parts.data(), static_cast<int>(parts.size())) >= 0;
}

void LogSinks::to_stderr(const LogRecord& record) const {
  std::string line =
      fmt::format("{} {}: ", time_text(record.realtime_usec, "%H:%M:%S"), to_string(record.level));
  if (!record.device.view().empty()) line += fmt::format("{}: ", record.device.view());
  line += record.text.view();
  line += '\n';
  (void)write_all(options_.stderr_fd, line);  // nobody is left to tell
}

void LogSinks::to_file(const LogRecord& record) {
  std::string line = fmt::format("{} {} [{}] {}:{}", time_text(record.realtime_usec, "%Y-%m-%d %H:%M:%S"),
                                 ::getpid(), kFileLevels[static_cast<std::size_t>(record.level)],
                                 short_function_name(record.where.function_name()), record.where.line());
  if (!record.device.view().empty())
    line += fmt::format(" {}{}{}", record.subtype.view(), record.subtype.view().empty() ? "" : "/",
                        backstore_name(record.device.view()));
  line += fmt::format(": {}\n", record.text.view());
  const int trouble = write_all(file_.get(), line);
  if (trouble != 0) file_trouble(trouble, "write");
  if (trouble == 0) file_trouble_told_ = false;
}

// Once until it is over: the file's trouble must not become the journal's.
void LogSinks::file_trouble(int number, std::string_view verb) {
  if (file_trouble_told_) return;
  file_trouble_told_ = true;
  LogRecord record;
  record.realtime_usec = std::time(nullptr) * std::int64_t{1'000'000};
  record.level = Level::Warning;
  record.sys_errno = number;
  record.message_id = kMsgLogTrouble;
  record.where = std::source_location::current();
  record.text.assign(fmt::format("{} {}/{}: {}; the log goes on without this file", verb, *directory_,
                                 kLogFileName, errno_text(number)));
  if (!journal_ || !to_journal(record) || terminal_) to_stderr(record);
}

}  // namespace bulkhead
