#include "base/log.h"

#include <fmt/format.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <csignal>
#include <mutex>
#include <thread>

#include "base/bounded_queue.h"
#include "base/error.h"
#include "base/log_sinks.h"
#include "base/unique_fd.h"

namespace bulkhead {

std::string_view to_string(Level level) {
  switch (level) {
    case Level::Critical:
      return "critical";
    case Level::Error:
      return "error";
    case Level::Warning:
      return "warning";
    case Level::Info:
      return "info";
    case Level::Debug:
      return "debug";
    case Level::DebugScsi:
      return "scsi";
  }
  return "unknown";
}

Level level_of(std::int64_t number) {
  return static_cast<Level>(std::clamp(number, std::int64_t{0}, static_cast<std::int64_t>(Level::DebugScsi)));
}

int syslog_severity(Level level) {
  constexpr int kSeverities[] = {2, 3, 4, 6, 7, 7};
  return kSeverities[static_cast<std::size_t>(level)];
}

Level level_of_severity(std::uint32_t severity) {
  if (severity <= 2) return Level::Critical;
  if (severity == 3) return Level::Error;
  if (severity == 4) return Level::Warning;
  return severity <= 6 ? Level::Info : Level::Debug;
}

namespace {

std::int64_t realtime_usec() {
  using std::chrono::duration_cast;
  return duration_cast<std::chrono::microseconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

void fill(LogRecord& record, Level level, const LogFields& fields, std::string_view text,
          std::source_location where) {
  record.realtime_usec = realtime_usec();
  record.level = level;
  record.host_pid = fields.host_pid;
  record.sys_errno = fields.sys_errno;
  record.message_id = fields.message_id;
  record.where = where;
  record.device.assign(fields.device);
  record.subtype.assign(fields.subtype);
  record.text.assign(text);
}

}  // namespace

struct Logger::Shared {
  explicit Shared(LogOptions chosen)
      : options(std::move(chosen)),
        level(options.level),
        queue(options.queue_lines),
        wake(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    BULKHEAD_CHECK(wake.valid());
  }

  void ring() const {
    const std::uint64_t one = 1;
    if (::write(wake.get(), &one, sizeof one) < 0) {
    }  // EAGAIN: rings already
  }
  // Pairs with sleep(): either the thread sees the record, or we see that it sleeps.
  void ring_if_asleep() {
    if (asleep.load() && asleep.exchange(false)) ring();
  }

  const LogOptions options;
  std::atomic<Level> level;
  BoundedQueue<LogRecord> queue;
  UniqueFd wake;
  std::atomic<bool> asleep{false};
  std::atomic<bool> stop{false};
  std::atomic<bool> reopen{false};
  std::atomic<bool> directory_changed{false};
  std::atomic<std::uint64_t> lost{0};

  std::mutex mutex;  // never held across a write to a sink
  std::condition_variable progress;
  std::uint64_t written = 0;             // records taken from the queue and written; under mutex
  bool finished = false;                 // under mutex
  std::optional<std::string> directory;  // under mutex
};

namespace {

void wait_for_ring(const UniqueFd& wake) {
  pollfd ready{wake.get(), POLLIN, 0};
  ::poll(&ready, 1, -1);
  std::uint64_t rings = 0;
  if (::read(wake.get(), &rings, sizeof rings) < 0) {
  }  // EAGAIN or EINTR: looking at the queue once more does no harm
}

}  // namespace

void Logger::run(const std::shared_ptr<Shared>& shared) {
  ::pthread_setname_np(::pthread_self(), "log");
  LogSinks sinks(shared->options);
  auto follow_changes = [&] {
    if (shared->directory_changed.exchange(false)) {
      std::unique_lock lock(shared->mutex);
      std::optional<std::string> directory = shared->directory;
      lock.unlock();
      sinks.set_directory(std::move(directory));
    }
    if (shared->reopen.exchange(false)) sinks.open_file();
  };
  // Before each record: one that was logged after a change goes where the change says.
  auto write = [&](const LogRecord& record) {
    follow_changes();
    sinks.write(record);
  };
  for (;;) {
    sinks.look_around();
    follow_changes();
    while (shared->queue.pop(write)) {
    }
    if (const std::uint64_t lost = shared->lost.exchange(0); lost > 0) {
      LogRecord record;
      fill(record, Level::Warning, {.message_id = kMsgLogTrouble},
           fmt::format("{} log lines lost: they came faster than they could be written", lost),
           std::source_location::current());
      sinks.write(record);
    }
    std::unique_lock lock(shared->mutex);
    shared->written = shared->queue.popped();
    shared->progress.notify_all();
    if (shared->stop && shared->queue.empty()) {
      shared->finished = true;
      return;
    }
    lock.unlock();
    shared->asleep.store(true);
    if (shared->queue.empty() && !shared->stop && !shared->reopen && !shared->directory_changed)
      wait_for_ring(shared->wake);
    shared->asleep.store(false);
  }
}

Logger::Logger(LogOptions options) : shared_(std::make_shared<Shared>(std::move(options))) {
  // Signals are for the other threads: this one may hang in a write.
  sigset_t all;
  sigset_t before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  std::thread([shared = shared_] { run(shared); }).detach();
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

Logger::~Logger() {
  shared_->stop = true;
  shared_->ring();
  std::unique_lock lock(shared_->mutex);
  shared_->progress.wait_for(lock, std::chrono::seconds(1), [this] { return shared_->finished; });
}

bool Logger::enabled(Level level) const {
  return level <= shared_->level.load(std::memory_order_relaxed);
}

void Logger::write(Level level, const LogFields& fields, std::string_view text, std::source_location where) {
  if (!enabled(level)) return;
  if (!shared_->queue.push([&](LogRecord& record) { fill(record, level, fields, text, where); }))
    ++shared_->lost;
  shared_->ring_if_asleep();
}

void Logger::set_level(Level level) {
  shared_->level.store(level, std::memory_order_relaxed);
}

void Logger::set_directory(std::optional<std::string> directory) {
  {
    const std::lock_guard lock(shared_->mutex);
    shared_->directory = std::move(directory);
  }
  shared_->directory_changed = true;
  shared_->ring();
}

void Logger::reopen() {
  shared_->reopen = true;
  shared_->ring();
}

bool Logger::flush(std::chrono::milliseconds limit) {
  const std::uint64_t goal = shared_->queue.pushed();
  shared_->ring();
  std::unique_lock lock(shared_->mutex);
  return shared_->progress.wait_for(lock, limit, [&] { return shared_->written >= goal; });
}

namespace {

std::atomic<Logger*> process_logger{nullptr};

}  // namespace

void start_logging(LogOptions options) {
  // Never destroyed: a thread that still logs while the process exits must find it.
  Logger* none = nullptr;
  const bool first = process_logger.compare_exchange_strong(none, new Logger(std::move(options)));
  BULKHEAD_CHECK(first);
}

void log(Level level, const LogFields& fields, std::string_view text, std::source_location where) {
  if (Logger* logger = process_logger.load()) return logger->write(level, fields, text, where);
  if (!log_enabled(level)) return;
  LogRecord record;
  fill(record, level, fields, text, where);
  LogSinks(LogOptions{.journal_socket = ""}).write(record);
}

bool log_enabled(Level level) {
  const Logger* logger = process_logger.load();
  return logger != nullptr ? logger->enabled(level) : level <= Level::Info;
}

void set_log_level(Level level) {
  if (Logger* logger = process_logger.load()) logger->set_level(level);
}

void set_log_directory(std::optional<std::string> directory) {
  if (Logger* logger = process_logger.load()) logger->set_directory(std::move(directory));
}

void reopen_log() {
  if (Logger* logger = process_logger.load()) logger->reopen();
}

bool flush_log(std::chrono::milliseconds limit) {
  Logger* logger = process_logger.load();
  return logger == nullptr || logger->flush(limit);
}

}  // namespace bulkhead
