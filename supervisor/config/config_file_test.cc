#include "supervisor/config/config_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

namespace bulkhead::supervisor {

bool operator==(const ConfigEntry& a, const ConfigEntry& b) {
  return a.line == b.line && a.key == b.key && a.value == b.value && a.section == b.section;
}

namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::optional<std::string> value_of(const std::string& line) {
  const ConfigFile file = parse_config(line);
  return file.entries.size() == 1 ? file.entries[0].value : std::nullopt;
}

TEST(ConfigFile, CommentsBlankLinesAndSettingsInAnyLineEnding) {
  const ConfigFile file =
      parse_config("# tcmu\r\n\n  \t# more\nlog_level = 4\r\nlog_dir='/a'\rswitch\n last=1");
  EXPECT_THAT(file.entries, ElementsAre(ConfigEntry{4, "log_level", "4"}, ConfigEntry{5, "log_dir", "/a"},
                                        ConfigEntry{6, "switch", {}}, ConfigEntry{7, "last", "1"}));
  EXPECT_THAT(file.problems, IsEmpty());
}

TEST(ConfigFile, QuotesMayHoldTheOtherKindAndTheirOwn) {
  EXPECT_EQ(value_of("k = \"Tom\""), "Tom");
  EXPECT_EQ(value_of("k = 'Tom is a \"boy\"'"), "Tom is a \"boy\"");
  EXPECT_EQ(value_of("k = \"'T' is short\""), "'T' is short");
  EXPECT_EQ(value_of("k = \"a\"b\""), "a\"b");
  EXPECT_EQ(value_of("k = \"\""), "");
  EXPECT_EQ(value_of("k = \"a # b\""), "a # b");
}

TEST(ConfigFile, CommentBehindAValueIsNoPartOfIt) {
  EXPECT_EQ(value_of("k = \"a\" # why"), "a");
  EXPECT_EQ(value_of("k = /a/b   # why"), "/a/b");
  EXPECT_EQ(value_of("k = /a#b"), "/a#b");
  EXPECT_EQ(value_of("k ="), "");
}

// Each of these made tcmu-runner spin for ever at the start, or read beyond the line.
TEST(ConfigFile, LinesThatHungTcmuRunnerAreProblemsWithTheirNumber) {
  const ConfigFile file =
      parse_config("]section[\n1a = 2\n_x = 3\n= 4\nlog_level = \nlog_level = 2\n\"q\"\n");
  EXPECT_THAT(file.problems, ElementsAre(HasSubstr("line 1: neither"), HasSubstr("line 2: neither"),
                                         HasSubstr("line 3: neither"), HasSubstr("line 4: neither"),
                                         HasSubstr("line 7: neither")));
  EXPECT_THAT(file.entries, ElementsAre(ConfigEntry{5, "log_level", ""}, ConfigEntry{6, "log_level", "2"}));
}

TEST(ConfigFile, SectionsBelongToWhatFollows) {
  const ConfigFile file = parse_config("a = 1\n[user_1/d 0]  # why\nb = 2\n[x]y]\nc\n[]\nd");
  EXPECT_THAT(file.entries, ElementsAre(ConfigEntry{1, "a", "1", ""}, ConfigEntry{3, "b", "2", "user_1/d 0"},
                                        ConfigEntry{5, "c", {}, "x]y"}, ConfigEntry{7, "d", {}, "[]"}));
  ASSERT_EQ(file.sections.size(), 3u);
  EXPECT_EQ(file.sections[1].line, 4u);
  EXPECT_EQ(file.sections[1].name, "x]y");
  EXPECT_THAT(file.problems, IsEmpty());
  EXPECT_THAT(parse_config("[user_1/d0\na = 1").problems, ElementsAre(HasSubstr("line 1: a section's name")));
  EXPECT_THAT(parse_config("[a] b").problems, ElementsAre(HasSubstr("not closed")));
}

TEST(ConfigFile, OpenQuoteAndMissingEqualsAreProblems) {
  const ConfigFile file = parse_config("a = 'x\nb c\nd = \"x\" y");
  EXPECT_THAT(file.problems, ElementsAre(HasSubstr("line 1: a quote"), HasSubstr("line 2: no \"=\""),
                                         HasSubstr("line 3: a quote")));
}

TEST(ConfigFile, BinaryRubbishGivesABoundedNumberOfPrintableProblems) {
  const ConfigFile file = parse_config(std::string(5000, '\n') + std::string(100, '\x01') + "\n" + [] {
    std::string lines;
    for (int i = 0; i < 1000; ++i) lines += "\x1b[\n";
    return lines;
  }());
  EXPECT_EQ(file.problems.size(), 21u);
  EXPECT_THAT(file.problems.front(), HasSubstr("line 5001: "));
  EXPECT_THAT(file.problems.back(), HasSubstr("981 more bad lines"));
}

class ReadConfig : public testing::Test {
 protected:
  ReadConfig() { std::filesystem::remove_all(path_); }
  const std::filesystem::path path_ = std::filesystem::path(testing::TempDir()) / "tcmu.conf";
};

TEST_F(ReadConfig, MissingFileIsNone) {
  const auto file = read_config(path_);
  ASSERT_TRUE(file.has_value());
  EXPECT_FALSE(file->has_value());
}

TEST_F(ReadConfig, FifoAndFolderAreRefusedWithoutWaiting) {
  ASSERT_EQ(::mkfifo(path_.c_str(), 0600), 0);
  EXPECT_THAT(read_config(path_).error().what, HasSubstr("not a regular file"));
  EXPECT_THAT(read_config(testing::TempDir()).error().what, HasSubstr("not a regular file"));
}

TEST_F(ReadConfig, TooLargeIsRefusedAndJustFittingIsRead) {
  std::ofstream(path_) << std::string(1024 * 1024 - 6, '#') << "\nk = 1";
  EXPECT_EQ(read_config(path_).value()->entries.size(), 1u);
  std::ofstream(path_, std::ios::app) << "2";
  EXPECT_THAT(read_config(path_).error().what, HasSubstr("larger than 1 MiB"));
}

}  // namespace
}  // namespace bulkhead::supervisor
