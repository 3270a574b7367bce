// Structured logging that never makes its caller wait: a line goes into a bounded queue, one thread writes it
// to journald, standard error or a file. A full queue costs lines, not time; how many were lost is logged.
//
// Text is made printable (base/printable.h) on the way in: nothing from outside can forge a line.
// Before start_logging(), and in processes that never call it, lines go to standard error at once.
#pragma once

#include <sys/uio.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <source_location>
#include <string>
#include <string_view>

#include "base/message_ids.h"

namespace bulkhead {

// tcmu-runner's numbers: `log_level` in tcmu.conf.
enum class Level : std::uint8_t { Critical, Error, Warning, Info, Debug, DebugScsi };

[[nodiscard]] std::string_view to_string(Level level);
// 0..5; anything outside is clamped, as tcmu-runner does.
[[nodiscard]] Level level_of(std::int64_t number);
// syslog(3) severities, which the control protocol uses.
[[nodiscard]] int syslog_severity(Level level);
[[nodiscard]] Level level_of_severity(std::uint32_t severity);

// What a line is about. All optional; journald gets them as fields of these names in capitals.
struct LogFields {
  std::string_view device{};  // "user_1/d0"
  std::string_view subtype{};
  int host_pid = 0;        // of the device's handler-host; 0: none
  int sys_errno = 0;       // becomes ERRNO
  MessageId message_id{};  // base/message_ids.h
};

struct LogOptions {
  std::string identifier = "tcmu-supervisor";
  Level level = Level::Info;
  // tcmu-runner.log is written here; nullopt: no file. Created with parents if missing.
  std::optional<std::string> directory{};
  std::size_t queue_lines = 512;  // a power of two, about 1.5 KiB each, all allocated at the start
  // Seams for tests.
  int stderr_fd = 2;
  std::string journal_socket = "/run/systemd/journal/socket";
  int (*journal_send)(const iovec* fields, int count) = nullptr;  // nullptr: sd_journal_sendv
};

inline constexpr std::string_view kLogFileName = "tcmu-runner.log";
inline constexpr std::size_t kMaxLogText = 1024;  // bytes of one line's text, longer ones end in "..."

// The queue and its thread. The process has one, behind the functions below; tests make their own.
class Logger {
 public:
  explicit Logger(LogOptions options);
  // Waits at most a second for what is queued. A thread that hangs in a write is left alone.
  ~Logger();
  Logger(const Logger&) = delete;
  Logger& operator=(const Logger&) = delete;

  // All of these: any thread; never block on a sink, allocate nothing but set_directory's string.
  void write(Level level, const LogFields& fields, std::string_view text, std::source_location where);
  [[nodiscard]] bool enabled(Level level) const;
  void set_level(Level level);
  void set_directory(std::optional<std::string> directory);
  void reopen();  // closes the file and opens it again by name: after logrotate

  // Waits until everything logged before the call is written. False: the deadline passed.
  bool flush(std::chrono::milliseconds limit);

 private:
  struct Shared;
  static void run(const std::shared_ptr<Shared>& shared);
  // Shared with the thread, which outlives *this when a sink hangs.
  std::shared_ptr<Shared> shared_;
};

// Once per process, before threads are started; the logger lives until the process ends.
void start_logging(LogOptions options);

void log(Level level, const LogFields& fields, std::string_view text,
         std::source_location where = std::source_location::current());
// To spare the formatting of a line nobody wants.
[[nodiscard]] bool log_enabled(Level level);
void set_log_level(Level level);
void set_log_directory(std::optional<std::string> directory);
void reopen_log();
// At exit. False: lines are still unwritten.
bool flush_log(std::chrono::milliseconds limit);

}  // namespace bulkhead
