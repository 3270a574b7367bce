#include "base/printable.h"

#include <gtest/gtest.h>

#include <array>

namespace bulkhead {
namespace {

std::string cut_to(std::size_t room, std::string_view from) {
  std::string to(room, '#');
  to.resize(printable_into(to, from));
  return to;
}

TEST(Printable, OrdinaryTextAndUtf8StayAsTheyAre) {
  EXPECT_EQ(printable("/srv/größe \"ü\" \xe2\x82\xac \xf0\x9f\x9a\xa2"),
            "/srv/größe \"ü\" € \xf0\x9f\x9a\xa2");
}

TEST(Printable, ControlCharactersAreEscapedSoNoLineAndNoTerminalIsFooled) {
  EXPECT_EQ(printable("a\nb\tc\x1b[2J\x7f" + std::string(1, '\0')), "a\\nb\\tc\\x1b[2J\\x7f\\x00");
  EXPECT_EQ(printable("\xc2\x9b"), "\\xc2\\x9b");  // U+009B, a one-character CSI
}

TEST(Printable, InvalidUtf8IsEscapedByteByByte) {
  EXPECT_EQ(printable("\xff\x80"), "\\xff\\x80");
  EXPECT_EQ(printable("\xc0\xaf"), "\\xc0\\xaf");           // overlong '/'
  EXPECT_EQ(printable("\xed\xa0\x80"), "\\xed\\xa0\\x80");  // a surrogate
  EXPECT_EQ(printable("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80");
  EXPECT_EQ(printable("end\xe2\x82"), "end\\xe2\\x82");  // cut in the middle
}

TEST(Printable, WhatDoesNotFitEndsInDotsAndSplitsNoCharacter) {
  EXPECT_EQ(cut_to(6, "abcdef"), "abcdef");
  EXPECT_EQ(cut_to(6, "abcdefg"), "abc...");
  EXPECT_EQ(cut_to(6,
                   "a\xe2\x82\xac"
                   "cdefg"),
            "a...");
  EXPECT_EQ(cut_to(6, "ab\n\n\n"), "ab...");
  EXPECT_EQ(cut_to(2, "abc"), "..");
  EXPECT_EQ(cut_to(0, "abc"), "");
}

TEST(Printable, IsPrintableAgreesWithPrintable) {
  for (std::string_view text : {"plain", "gr\xc3\xb6", "new\nline", "\xc2\x9b", "\xff", ""})
    EXPECT_EQ(is_printable(text), printable(text) == text) << printable(text);
}

}  // namespace
}  // namespace bulkhead
