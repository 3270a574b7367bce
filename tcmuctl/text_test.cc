// human.h and text_table.h
#include <gtest/gtest.h>

#include "tcmuctl/human.h"
#include "tcmuctl/text_table.h"

namespace bulkhead::tcmuctl {
namespace {

TEST(HumanBytes, UsesBinaryUnitsAndThreeDigits) {
  EXPECT_EQ(human_bytes(0), "0 B");
  EXPECT_EQ(human_bytes(512), "512 B");
  EXPECT_EQ(human_bytes(1023), "1023 B");
  EXPECT_EQ(human_bytes(1024), "1 KiB");
  EXPECT_EQ(human_bytes(1536), "1.5 KiB");
  EXPECT_EQ(human_bytes(1048575), "1 MiB");
  EXPECT_EQ(human_bytes(268435456), "256 MiB");
  EXPECT_EQ(human_bytes(1319413953331), "1.2 TiB");
  EXPECT_EQ(human_bytes(UINT64_MAX), "16 EiB");
}

TEST(HumanDuration, GrowsFromMicrosecondsToDays) {
  EXPECT_EQ(human_duration(0), "0 us");
  EXPECT_EQ(human_duration(999), "999 us");
  EXPECT_EQ(human_duration(31000), "31 ms");
  EXPECT_EQ(human_duration(1500000), "1.5 s");
  EXPECT_EQ(human_duration(59999999), "60 s");
  EXPECT_EQ(human_duration(125000000), "2 min 5 s");
  EXPECT_EQ(human_duration(3600000000), "1 h");
  EXPECT_EQ(human_duration(11045000000), "3 h 4 min");
  EXPECT_EQ(human_duration(1047600000000), "12 d 3 h");
}

TEST(HumanCount, UsesDecimalUnits) {
  EXPECT_EQ(human_count(0), "0");
  EXPECT_EQ(human_count(999.4), "999");
  EXPECT_EQ(human_count(999.9), "1k");
  EXPECT_EQ(human_count(12345), "12.3k");
  EXPECT_EQ(human_count(4560000), "4.56M");
}

TEST(HumanTime, IsUtcAndADashForNever) {
  EXPECT_EQ(human_time(0), "-");
  EXPECT_EQ(human_time(1700000000000000), "2023-11-14 22:13:20 UTC");
}

TEST(ScreenWidth, CountsColumnsNotBytes) {
  EXPECT_EQ(screen_width("abc"), 3u);
  EXPECT_EQ(screen_width("gr\xc3\xb6\xc3\x9f"), 4u);
  EXPECT_EQ(screen_width("\xe7\xa3\x81\xe7\x9b\x98"), 4u);  // two wide characters
  EXPECT_EQ(screen_width("e\xcc\x81"), 1u);                 // a combining accent
}

TEST(Shorten, CutsBetweenCharactersAndShowsIt) {
  EXPECT_EQ(shorten("abcdef", 6), "abcdef");
  EXPECT_EQ(shorten("abcdef", 4), "abc\u2026");
  EXPECT_EQ(shorten("\xc3\xb6\xc3\xb6\xc3\xb6\xc3\xb6", 3), "\xc3\xb6\xc3\xb6\u2026");
  EXPECT_EQ(shorten("\xe7\xa3\x81\xe7\x9b\x98", 3), "\xe7\xa3\x81\u2026");
  EXPECT_EQ(shorten("\xe7\xa3\x81\xe7\x9b\x98", 2), "\u2026");
  EXPECT_EQ(shorten("abc", 1), "\u2026");
  EXPECT_EQ(shorten("abc", 0), "");
}

const std::vector<Column> kColumns = {{"NAME"}, {"SIZE", Align::Right}, {"CONFIG"}};

TEST(RenderTable, AlignsColumnsWithoutTrailingBlanks) {
  EXPECT_EQ(
      render_table(kColumns, {{{"a"}, {"1 GiB"}, {"file//x"}}, {{"longer"}, {"7 B"}, {""}}}, 0, Colors::Off),
      "NAME     SIZE  CONFIG\n"
      "a       1 GiB  file//x\n"
      "longer    7 B\n");
}

TEST(RenderTable, ShortensTheLastColumnToTheScreen) {
  EXPECT_EQ(render_table(kColumns, {{{"a"}, {"1 GiB"}, {"file//srv/long/name.img"}}}, 24, Colors::Off),
            "NAME   SIZE  CONFIG\n"
            "a     1 GiB  file//srv/\u2026\n");
}

TEST(RenderTable, AlignsByColumnsOfTheScreenInAnyScript) {
  EXPECT_EQ(render_table(kColumns, {{{"\xe7\xa3\x81\xe7\x9b\x98"}, {"1"}, {"x"}}, {{"abcd"}, {"1"}, {"x"}}},
                         0, Colors::Off),
            "NAME  SIZE  CONFIG\n"
            "\xe7\xa3\x81\xe7\x9b\x98     1  x\n"
            "abcd     1  x\n");
}

TEST(RenderTable, ControlCharactersOfANameNeverReachTheTerminal) {
  std::string text = render_table({{"NAME"}}, {{{"a\033[2J\nb"}}}, 0, Colors::Off);
  EXPECT_EQ(text.find('\033'), std::string::npos);
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 2);
}

TEST(RenderTable, ColorsOnlyWhenWanted) {
  std::vector<std::vector<Cell>> rows = {{{"up", Color::Green}}};
  EXPECT_EQ(render_table({{"S"}}, rows, 0, Colors::Off), "S\nup\n");
  EXPECT_EQ(render_table({{"S"}}, rows, 0, Colors::On), "\033[1mS\033[0m\n\033[32mup\033[0m\n");
}

TEST(RenderTable, WithoutRowsIsTheTitles) {
  EXPECT_EQ(render_table(kColumns, {}, 0, Colors::Off), "NAME  SIZE  CONFIG\n");
}

}  // namespace
}  // namespace bulkhead::tcmuctl
