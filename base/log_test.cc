#include "base/log.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <sstream>
#include <thread>
#include <vector>

#include "base/log_sinks.h"
#include "base/unique_fd.h"

namespace bulkhead {
namespace {

using namespace std::chrono_literals;
using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::MatchesRegex;
using testing::Not;

// What sd_journal_sendv would have been given.
std::mutex journal_mutex;
std::vector<std::vector<std::string>> journal_entries;
int journal_result = 0;

int fake_journal(const iovec* fields, int count) {
  const std::lock_guard lock(journal_mutex);
  if (journal_result < 0) return journal_result;
  std::vector<std::string>& entry = journal_entries.emplace_back();
  for (int i = 0; i < count; ++i)
    entry.emplace_back(static_cast<const char*>(fields[i].iov_base), fields[i].iov_len);
  return 0;
}

class LogTest : public testing::Test {
 protected:
  LogTest() : directory_(std::filesystem::path(testing::TempDir()) / "log") {
    std::filesystem::remove_all(directory_);
    std::filesystem::create_directories(directory_);
    const std::lock_guard lock(journal_mutex);
    journal_entries.clear();
    journal_result = 0;
  }

  LogOptions options() const {
    return {.stderr_fd = stderr_.get(), .journal_socket = "/nowhere", .journal_send = fake_journal};
  }
  LogOptions with_journal() const {
    LogOptions chosen = options();
    chosen.journal_socket = "/dev/null";  // any path that can be written
    return chosen;
  }
  LogOptions with_file() const {
    LogOptions chosen = options();
    chosen.directory = directory_;
    return chosen;
  }
  static std::string read(const std::filesystem::path& path) {
    std::stringstream text;
    text << std::ifstream(path).rdbuf();
    return text.str();
  }
  std::string on_stderr() const { return read("/proc/self/fd/" + std::to_string(stderr_.get())); }
  std::filesystem::path file() const { return directory_ / kLogFileName; }
  static void write(Logger& logger, Level level, const LogFields& fields, std::string_view text,
                    std::source_location where = std::source_location::current()) {
    logger.write(level, fields, text, where);
  }

  std::filesystem::path directory_;
  UniqueFd stderr_{::memfd_create("stderr", MFD_CLOEXEC)};
};

TEST_F(LogTest, WithoutAJournalLinesGoToStandardErrorInOrder) {
  Logger logger(options());
  write(logger, Level::Warning, {.device = "user_1/d0"}, "first");
  write(logger, Level::Info, {}, "second");
  ASSERT_TRUE(logger.flush(5s));
  EXPECT_THAT(on_stderr(),
              MatchesRegex("[0-9:]+\\.[0-9]+ warning: user_1/d0: first\n[0-9:]+\\.[0-9]+ info: second\n"));
}

TEST_F(LogTest, JournalGetsFieldsAndStandardErrorStaysQuiet) {
  Logger logger(with_journal());
  write(
      logger, Level::Error,
      {.device = "user_1/d0", .subtype = "file", .host_pid = 42, .sys_errno = 5, .message_id = kMsgHostDied},
      "gone");
  ASSERT_TRUE(logger.flush(5s));
  ASSERT_EQ(journal_entries.size(), 1u);
  for (const char* field :
       {"MESSAGE=gone", "PRIORITY=3", "DEVICE=user_1/d0", "SUBTYPE=file", "HOST_PID=42", "ERRNO=5",
        "MESSAGE_ID=1fab6817b9544182ac7e2419a52f5e68", "SYSLOG_IDENTIFIER=tcmu-supervisor"})
    EXPECT_THAT(journal_entries[0], Contains(field));
  EXPECT_THAT(on_stderr(), IsEmpty());
}

TEST_F(LogTest, CriticalLineIsToldToWhoeverStartedUsAsWell) {
  Logger logger(with_journal());
  write(logger, Level::Critical, {}, "can't start");
  ASSERT_TRUE(logger.flush(5s));
  EXPECT_EQ(journal_entries.size(), 1u);
  EXPECT_THAT(on_stderr(), HasSubstr("critical: can't start"));
}

TEST_F(LogTest, CriticalLineIsNotTwiceInTheJournal) {
  struct stat facts{};
  ASSERT_EQ(::fstat(stderr_.get(), &facts), 0);
  const std::string stream = std::to_string(facts.st_dev) + ":" + std::to_string(facts.st_ino);
  ::setenv("JOURNAL_STREAM", stream.c_str(), 1);
  Logger logger(with_journal());
  write(logger, Level::Critical, {}, "can't start");
  ASSERT_TRUE(logger.flush(5s));
  ::unsetenv("JOURNAL_STREAM");
  EXPECT_EQ(journal_entries.size(), 1u);
  EXPECT_THAT(on_stderr(), IsEmpty());
}

TEST_F(LogTest, JournalThatRefusesIsReplacedByStandardError) {
  journal_result = -EIO;
  Logger logger(with_journal());
  write(logger, Level::Error, {}, "not lost");
  ASSERT_TRUE(logger.flush(5s));
  EXPECT_THAT(on_stderr(), HasSubstr("not lost"));
}

TEST_F(LogTest, NewlineFromOutsideForgesNoLineAndNoField) {
  Logger logger(with_journal());
  write(logger, Level::Info, {.device = "user_1/a\nPRIORITY=0"}, "config \"x\n[CRIT] main:1: all is lost\"");
  ASSERT_TRUE(logger.flush(5s));
  ASSERT_EQ(journal_entries.size(), 1u);
  EXPECT_THAT(journal_entries[0], Contains("DEVICE=user_1/a\\nPRIORITY=0"));
  EXPECT_THAT(journal_entries[0], Contains("MESSAGE=config \"x\\n[CRIT] main:1: all is lost\""));
}

TEST_F(LogTest, FileHasTcmuRunnersLineFormatAndIsPrivate) {
  Logger logger(with_file());
  write(logger, Level::Warning, {.device = "user_1/d0", .subtype = "file"}, "slow");
  ASSERT_TRUE(logger.flush(5s));
  EXPECT_THAT(read(file()), MatchesRegex("[0-9]+-[0-9]+-[0-9]+ [0-9:]+\\.[0-9]+ [0-9]+ \\[WARN\\] "
                                         "TestBody:[0-9]+ file/d0: slow\n"));
  struct stat facts{};
  ASSERT_EQ(::stat(file().c_str(), &facts), 0);
  EXPECT_EQ(facts.st_mode & 0777, 0600u);
}

TEST_F(LogTest, WithoutAConfiguredDirectoryThereIsNoFileUntilOneIsSet) {
  Logger logger(options());
  write(logger, Level::Info, {}, "before");
  ASSERT_TRUE(logger.flush(5s));
  EXPECT_FALSE(std::filesystem::exists(file()));
  logger.set_directory(directory_ / "new/parents");
  write(logger, Level::Info, {}, "after");
  ASSERT_TRUE(logger.flush(5s));
  EXPECT_THAT(read(directory_ / "new/parents" / kLogFileName), HasSubstr(": after\n"));
}

TEST_F(LogTest, ReopenFollowsLogrotate) {
  Logger logger(with_file());
  write(logger, Level::Info, {}, "old");
  ASSERT_TRUE(logger.flush(5s));
  std::filesystem::rename(file(), directory_ / "rotated");
  logger.reopen();
  // The reopen may come between any two lines; the flush makes it come before this one.
  ASSERT_TRUE(logger.flush(5s));
  while (!std::filesystem::exists(file())) std::this_thread::yield();
  write(logger, Level::Info, {}, "new");
  ASSERT_TRUE(logger.flush(5s));
  EXPECT_THAT(read(file()), HasSubstr("new"));
  EXPECT_THAT(read(directory_ / "rotated"), HasSubstr("old"));
}

TEST_F(LogTest, FileThatCannotBeOpenedIsToldOnceAndLoggingGoesOn) {
  LogOptions chosen = options();
  chosen.directory = "/proc/version";
  Logger logger(chosen);
  write(logger, Level::Info, {}, "one");
  write(logger, Level::Info, {}, "two");
  ASSERT_TRUE(logger.flush(5s));
  EXPECT_THAT(on_stderr(), MatchesRegex("[^\n]*open /proc/version/tcmu-runner.log: Not a directory[^\n]*\n"
                                        "[^\n]*one\n[^\n]*two\n"));
}

TEST_F(LogTest, FullDiskIsToldOnceAndLoggingGoesOn) {
  ASSERT_EQ(::symlink("/dev/full", file().c_str()), 0);
  Logger logger(with_file());
  write(logger, Level::Info, {}, "one");
  write(logger, Level::Info, {}, "two");
  ASSERT_TRUE(logger.flush(5s));
  const std::string told = on_stderr();
  EXPECT_THAT(told, HasSubstr("No space left on device"));
  EXPECT_EQ(told.find("No space"), told.rfind("No space"));
  EXPECT_THAT(told, HasSubstr("two"));
}

TEST_F(LogTest, HangingDiskCostsLinesButNoTimeAndTheLossIsTold) {
  // Opening a FIFO that nobody reads blocks, as a file on a dead disk would.
  ASSERT_EQ(::mkfifo(file().c_str(), 0600), 0);
  LogOptions chosen = with_file();
  chosen.queue_lines = 4;
  Logger logger(chosen);
  for (int i = 0; i < 10; ++i) write(logger, Level::Info, {}, "line " + std::to_string(i));
  EXPECT_FALSE(logger.flush(50ms));
  const UniqueFd reader(::open(file().c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  ASSERT_TRUE(reader.valid());
  ASSERT_TRUE(logger.flush(5s));
  EXPECT_THAT(on_stderr(), HasSubstr("line 3"));
  EXPECT_THAT(on_stderr(), Not(HasSubstr("line 4")));
  EXPECT_THAT(on_stderr(), HasSubstr("6 log lines lost"));
}

TEST_F(LogTest, DestructorGivesUpOnAHangingDiskWithinItsSecond) {
  ASSERT_EQ(::mkfifo(file().c_str(), 0600), 0);
  LogOptions chosen = with_file();
  // Never closed: the abandoned thread has it for as long as it likes.
  chosen.stderr_fd = ::fcntl(stderr_.get(), F_DUPFD_CLOEXEC, 0);
  const auto begin = std::chrono::steady_clock::now();
  {
    Logger logger(chosen);
    write(logger, Level::Info, {}, "never written");
  }
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 10s);
  // Lets the abandoned thread end.
  const UniqueFd reader(::open(file().c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  while (on_stderr().find("never written") == std::string::npos) std::this_thread::yield();
}

TEST_F(LogTest, LevelIsObeyedAndCdbLinesSpareTheJournalWhenThereIsAFile) {
  LogOptions chosen = with_journal();
  chosen.directory = directory_;
  Logger logger(chosen);
  write(logger, Level::Debug, {}, "not yet");
  EXPECT_FALSE(logger.enabled(Level::Debug));
  logger.set_level(Level::DebugScsi);
  write(logger, Level::DebugScsi, {}, "28 00 00");
  write(logger, Level::Debug, {}, "now");
  ASSERT_TRUE(logger.flush(5s));
  EXPECT_THAT(read(file()), HasSubstr("[DEBUG_SCSI_CMD] "));
  EXPECT_THAT(read(file()), Not(HasSubstr("not yet")));
  ASSERT_EQ(journal_entries.size(), 1u);
  EXPECT_THAT(journal_entries[0], Contains("MESSAGE=now"));
}

TEST_F(LogTest, ManyThreadsLoseNothingThatFits) {
  LogOptions chosen = options();
  chosen.queue_lines = 1024;
  Logger logger(chosen);
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 4; ++i)
      threads.emplace_back([&logger, i] {
        for (int line = 0; line < 250; ++line)
          write(logger, Level::Info, {}, std::to_string(i) + "-" + std::to_string(line) + ".");
      });
  }
  ASSERT_TRUE(logger.flush(20s));
  const std::string all = on_stderr();
  EXPECT_EQ(std::ranges::count(all, '\n'), 1000);
  EXPECT_THAT(all, HasSubstr(" 3-249.\n"));
}

TEST(LogLevels, NumbersAreTcmuRunnersAndAreClamped) {
  EXPECT_EQ(level_of(3), Level::Info);
  EXPECT_EQ(level_of(-7), Level::Critical);
  EXPECT_EQ(level_of(99), Level::DebugScsi);
  EXPECT_EQ(level_of_severity(4), Level::Warning);
  EXPECT_EQ(level_of_severity(4'000'000'000u), Level::Debug);
}

TEST(ShortFunctionName, LeavesReturnTypeScopeAndArgumentsOut) {
  EXPECT_EQ(short_function_name("bulkhead::Result<> bulkhead::supervisor::Pump::poll(int)"), "poll");
  EXPECT_EQ(short_function_name("int main(int, char**)"), "main");
  EXPECT_EQ(short_function_name("const char* name()"), "name");
}

}  // namespace
}  // namespace bulkhead
