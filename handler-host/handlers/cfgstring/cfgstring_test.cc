#include "handler-host/handlers/cfgstring/cfgstring.h"

#include <gmock/gmock.h>

#include <cerrno>

namespace bulkhead::handler {
namespace {

using ::testing::HasSubstr;

std::string refusal(std::string_view text) {
  auto parsed = parse_cfgstring(text);
  if (parsed) return "accepted";
  EXPECT_EQ(parsed.error().cause, Cause::BadInput);
  return parsed.error().what;
}

TEST(Cfgstring, WithoutOptionsIsAPathAlone) {
  auto parsed = parse_cfgstring("/srv/disk");
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->path, "/srv/disk");
  EXPECT_TRUE(parsed->options.empty());
}

TEST(Cfgstring, SplitsOptionsAtTheFirstQuestionMark) {
  auto parsed = parse_cfgstring("/srv/a.img?ro=on&direct=off");
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->path, "/srv/a.img");
  ASSERT_EQ(parsed->options.size(), 2u);
  EXPECT_EQ(parsed->options[0].name, "ro");
  EXPECT_EQ(parsed->options[0].value, "on");
  EXPECT_EQ(parsed->options[1].name, "direct");
  EXPECT_EQ(parsed->options[1].value, "off");
}

TEST(Cfgstring, DecodesEscapesInPathAndValues) {
  auto parsed = parse_cfgstring("/a%2Cb%3ac%3Fd%20e%0Af%25g?x=1%262");
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->path, "/a,b:c?d e\nf%g");
  EXPECT_EQ(parsed->options[0].value, "1&2");
}

TEST(Cfgstring, KeepsQuotesAndUtf8AsPartOfTheName) {
  auto parsed = parse_cfgstring("/srv/\"größe\"'.img");
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->path, "/srv/\"größe\"'.img");
}

TEST(Cfgstring, KeepsBytesThatAreNotUtf8) {
  auto parsed = parse_cfgstring("/srv/\xff\xfe");
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->path, "/srv/\xff\xfe");
}

TEST(Cfgstring, AnEmptyStringIsAnEmptyPath) {
  auto parsed = parse_cfgstring("");
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->path, "");
}

TEST(Cfgstring, RefusesWhatDoesNotSurviveSavingAndTellsTheEscape) {
  EXPECT_THAT(refusal("/srv/a b"), AllOf(HasSubstr("byte 7 is a space"), HasSubstr("write %20")));
  EXPECT_THAT(refusal("/srv/a\n"),
              AllOf(HasSubstr("/srv/a%0A"), HasSubstr("a newline"), HasSubstr("write %0A")));
  EXPECT_THAT(refusal("/srv/a\x01"), HasSubstr("write %01"));
  EXPECT_THAT(refusal(std::string_view("/srv/a\0b", 8)), HasSubstr("byte 7 is NUL"));
}

TEST(Cfgstring, Refuses4096Bytes) {
  EXPECT_TRUE(parse_cfgstring("/" + std::string(kMaxConfigBytes - 1, 'x')));
  const std::string text = "/" + std::string(kMaxConfigBytes, 'x');
  ASSERT_EQ(text.size(), 4096u);
  EXPECT_THAT(refusal(text),
              AllOf(HasSubstr("/xxxx"), HasSubstr("has 4096 bytes"), HasSubstr("symbolic link")));
  EXPECT_EQ(parse_cfgstring(text).error().sys_errno, ENAMETOOLONG);
}

TEST(Cfgstring, RefusesABrokenEscape) {
  for (const char* text : {"/a%", "/a%2", "/a%2g", "/a%00", "/100%-full", "/a?x=%zz"})
    EXPECT_THAT(refusal(text), HasSubstr("write %25 for the sign itself")) << text;
}

TEST(Cfgstring, RefusesMalformedOptions) {
  EXPECT_THAT(refusal("/a?"), HasSubstr("an empty option"));
  EXPECT_THAT(refusal("/a?ro=on&"), HasSubstr("an empty option"));
  EXPECT_THAT(refusal("/a?ro"), HasSubstr("option ro has no value"));
  EXPECT_THAT(refusal("/a?ro=on&ro=off"), HasSubstr("option ro is there twice"));
}

TEST(Shown, EscapesWhatATerminalWouldMisread) {
  EXPECT_EQ(shown("/a b\n\x1b[2J\x7f\xff"), "/a%20b%0A%1B[2J%7F%FF");
  EXPECT_EQ(shown("/größe€😀"), "/größe€😀");
  EXPECT_EQ(shown("\xc2\x9b"), "%C2%9B");                // a C1 control character
  EXPECT_EQ(shown("\xc0\xaf"), "%C0%AF");                // overlong
  EXPECT_EQ(shown("\xed\xa0\x80"), "%ED%A0%80");         // surrogate
  EXPECT_EQ(shown("\xf4\x90\x80\x80"), "%F4%90%80%80");  // beyond Unicode
  EXPECT_EQ(shown("\xe2\x82"), "%E2%82");                // cut short
}

struct Sample {
  bool light = false;
  std::uint32_t count = 0;
};
constexpr OptionRule<Sample> kSampleRules[] = {
    {"light", "on or off", [](Sample& to, std::string_view value) { return read_on_off(value, to.light); }},
    {"count", "a number up to 10",
     [](Sample& to, std::string_view value) { return read_number(value, 10u, to.count); }},
};

std::string apply_refusal(std::vector<Option> options) {
  Sample sample;
  auto applied = apply_options(kSampleRules, options, sample);
  return applied ? "accepted" : applied.error().what;
}

TEST(ApplyOptions, SetsWhatTheRulesKnow) {
  Sample sample;
  ASSERT_TRUE(apply_options(kSampleRules, {{"count", "10"}, {"light", "on"}}, sample));
  EXPECT_TRUE(sample.light);
  EXPECT_EQ(sample.count, 10u);
}

TEST(ApplyOptions, NamesTheKnownOptionsWhenOneIsUnknown) {
  EXPECT_EQ(apply_refusal({{"dark", "on"}}), "unknown option dark; there are light, count");
}

TEST(ApplyOptions, NamesTheValuesWhenOneIsBad) {
  EXPECT_EQ(apply_refusal({{"light", "yes"}}), "option light=yes: the value must be on or off");
  for (const char* number : {"", "11", "-1", "1x", "0x1", "99999999999999999999"})
    EXPECT_THAT(apply_refusal({{"count", number}}), HasSubstr("must be a number up to 10")) << number;
}

}  // namespace
}  // namespace bulkhead::handler
