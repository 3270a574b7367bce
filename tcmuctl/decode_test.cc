#include "tcmuctl/decode.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bulkhead::tcmuctl {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Words = std::vector<std::string>;

TEST(ParseHex, TakesBytesInTheWaysThatToolsPrintThem) {
  for (const Words& words : {Words{"2a", "00", "ff"}, Words{"2a 00 ff"}, Words{"2A00FF"}, Words{"2a:00:ff"},
                             Words{"0x2a,", "0x00,", "0xff"}, Words{"[2a", "00", "ff]"},
                             Words{"2a", "0", "ff"}, Words{"0x2a00ff"}}) {
    const auto bytes = parse_hex(words);
    ASSERT_TRUE(bytes.has_value()) << words.front();
    EXPECT_THAT(*bytes, ElementsAre(0x2a, 0x00, 0xff)) << words.front();
  }
}

TEST(ParseHex, NamesWhatIsNoByte) {
  const auto error = [](const Words& words) { return parse_hex(words).error(); };
  EXPECT_EQ(error({"2a", "zz"}).code, ExitCode::Usage);
  EXPECT_THAT(error({"2a", "zz"}).text, HasSubstr("'zz'"));
  EXPECT_THAT(error({"2a0"}).text, HasSubstr("'2a0'"));
  EXPECT_THAT(error({"0x"}).text, HasSubstr("'0x'"));
  EXPECT_THAT(error({"-1"}).text, HasSubstr("'-1'"));
  EXPECT_THAT(error({"2a", "+0"}).text, HasSubstr("'+0'"));
  EXPECT_EQ(error({}).text, "no bytes given");
  EXPECT_EQ(error({"", "[]"}).text, "no bytes given");
  EXPECT_EQ(error({std::string(2 * 261, '0')}).text, "more than 260 bytes");
}

TEST(Decode, NamesACommandAndItsBlocks) {
  EXPECT_EQ(decode_cdb(Words{"2a 08 00 00 03 e8 00 00 08 00"}).value(),
            "WRITE(10) LBA 1000, 8 blocks [2a 08 00 00 03 e8 00 00 08 00]");
}

TEST(Decode, NamesSenseDataOfBothFormats) {
  EXPECT_EQ(decode_sense(Words{"70 00 03 00 00 00 00 0a 00 00 00 00 11 00 00 00 00 00"}).value(),
            "MEDIUM ERROR, UNRECOVERED READ ERROR (3/11/00)");
  EXPECT_EQ(decode_sense(Words{"72052000", "00000000"}).value(),
            "ILLEGAL REQUEST, INVALID COMMAND OPERATION CODE (5/20/00)");
}

}  // namespace
}  // namespace bulkhead::tcmuctl
