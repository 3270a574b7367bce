#include "supervisor/config/command_line.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <initializer_list>
#include <vector>

namespace bulkhead::supervisor {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

auto parse(std::initializer_list<const char*> arguments) {
  std::vector<const char*> all{"tcmu-supervisor"};
  all.insert(all.end(), arguments);
  return parse_command_line(static_cast<int>(all.size()), all.data(), "1.2");
}

TEST(CommandLine, EveryOptionOfTcmuRunnerIsTakenInBothSpellings) {
  const auto shorts = parse({"-d", "-f", "70000", "-l", "/log", "--handler-path", "/lib"});
  ASSERT_TRUE(shorts.has_value());
  EXPECT_TRUE(shorts->debug);
  EXPECT_EQ(shorts->open_files, 70000u);
  EXPECT_EQ(shorts->log_directory, "/log");
  EXPECT_EQ(shorts->handler_folder, "/lib");
  const auto longs = parse({"--debug", "--nofile=65536", "--tcmu-log-dir=/log"});
  ASSERT_TRUE(longs.has_value());
  EXPECT_EQ(longs->open_files, 65536u);
  const auto none = parse({});
  ASSERT_TRUE(none.has_value());
  EXPECT_FALSE(none->debug || none->open_files || none->log_directory || none->handler_folder);
}

TEST(CommandLine, HelpAndVersionSucceedOnStandardOutput) {
  for (const char* option : {"-h", "--help"}) {
    const auto exit = parse({option});
    ASSERT_FALSE(exit.has_value());
    EXPECT_EQ(exit.error().code, 0);
    EXPECT_THAT(exit.error().standard_output, HasSubstr("--tcmu-log-dir"));
    EXPECT_THAT(exit.error().standard_error, IsEmpty());
  }
  EXPECT_EQ(parse({"-V"}).error().standard_output, "tcmu-supervisor 1.2\n");
  EXPECT_EQ(parse({"--version"}).error().code, 0);
}

TEST(CommandLine, MistakesExitWithTwoAndUsageOnStandardError) {
  using Arguments = std::initializer_list<const char*>;
  for (Arguments arguments : {Arguments{"--frobnicate"},
                              {"-x"},
                              {"stray"},
                              {"-f", "65535"},
                              {"-f", "1048577"},
                              {"-f", "many"},
                              {"-f"},
                              {"-l", "relative"},
                              {"--handler-path", ""}}) {
    const auto exit = parse(arguments);
    ASSERT_FALSE(exit.has_value()) << *arguments.begin();
    EXPECT_EQ(exit.error().code, 2);
    EXPECT_THAT(exit.error().standard_error, HasSubstr("--tcmu-log-dir"));
    EXPECT_THAT(exit.error().standard_output, IsEmpty());
  }
}

}  // namespace
}  // namespace bulkhead::supervisor
