// Where log lines go. Private to base/log.cc; logger thread only, which may block here.
#pragma once

#include <array>
#include <cstdint>
#include <source_location>
#include <string>
#include <string_view>

#include "base/log.h"
#include "base/printable.h"
#include "base/unique_fd.h"

namespace bulkhead {

template <std::size_t kSize>
class FixedText {
 public:
  void assign(std::string_view text) { size_ = printable_into(bytes_, text); }
  [[nodiscard]] std::string_view view() const { return {bytes_.data(), size_}; }

 private:
  std::size_t size_ = 0;
  std::array<char, kSize> bytes_{};
};

// One line, as it waits in the queue.
struct LogRecord {
  std::int64_t realtime_usec = 0;
  Level level = Level::Info;
  int host_pid = 0;
  int sys_errno = 0;
  MessageId message_id{};
  std::source_location where{};
  FixedText<288> device;
  FixedText<32> subtype;
  FixedText<kMaxLogText> text;
};

class LogSinks {
 public:
  explicit LogSinks(LogOptions options);
  void write(const LogRecord& record);
  // Looks again whether there is a journal, and what standard error is. Once per batch of lines.
  void look_around();
  void set_directory(std::optional<std::string> directory);
  void open_file();

 private:
  [[nodiscard]] bool to_journal(const LogRecord& record) const;
  void to_stderr(const LogRecord& record) const;
  void to_file(const LogRecord& record);
  void file_trouble(int number, std::string_view verb);

  const LogOptions options_;
  std::optional<std::string> directory_;
  UniqueFd file_;
  bool file_trouble_told_ = false;
  bool journal_ = false;
  bool terminal_ = false;
  bool stderr_is_journal_ = false;
};

// "poll" of "bulkhead::Result<> bulkhead::Pump::poll(int)".
[[nodiscard]] std::string_view short_function_name(std::string_view pretty);

}  // namespace bulkhead
