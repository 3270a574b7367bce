#include "supervisor/configfs/uio_name.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bulkhead::supervisor {
namespace {

using testing::HasSubstr;

std::string why_refused(std::string_view name) {
  const Result<UioName> parsed = parse_uio_name(name);
  return parsed ? "accepted" : parsed.error().what;
}

TEST(UioName, WholeNameIsSplitAtTheFirstThreeSlashes) {
  EXPECT_EQ(parse_uio_name("tcm-user/1/d0/file//srv/a.img"), (UioName{"user_1", "d0", "file//srv/a.img"}));
}

TEST(UioName, WithoutDevConfigItIsEmpty) {
  EXPECT_EQ(parse_uio_name("tcm-user/12/d0"), (UioName{"user_12", "d0", ""}));
  EXPECT_EQ(parse_uio_name("tcm-user/12/d0/"), (UioName{"user_12", "d0", ""}));
}

TEST(UioName, EchosNewlineAtTheEndIsDroppedAndInnerOnesStay) {
  EXPECT_EQ(parse_uio_name("tcm-user/1/d0/file/a\nb\n")->dev_config, "file/a\nb");
}

TEST(UioName, PrefixOfTcmUserWhichTcmuRunnerTookIsRefused) {
  EXPECT_FALSE(is_tcmu_name("tcm/1/d0/file/a"));
  EXPECT_THAT(why_refused("tcm/1/d0/file/a"), HasSubstr("does not begin with"));
  EXPECT_THAT(why_refused("/1/d0/file/a"), HasSubstr("does not begin with"));
}

TEST(UioName, MissingPartsAreNamed) {
  EXPECT_THAT(why_refused("tcm-user/"), HasSubstr("no host number"));
  EXPECT_THAT(why_refused("tcm-user//d0/x"), HasSubstr("no host number"));
  EXPECT_THAT(why_refused("tcm-user/1x/d0/x"), HasSubstr("no host number"));
  EXPECT_THAT(why_refused("tcm-user/12345678901/d0/x"), HasSubstr("no host number"));
  EXPECT_THAT(why_refused("tcm-user/1"), HasSubstr("no device name"));
  EXPECT_THAT(why_refused("tcm-user/1//file/x"), HasSubstr("no device name"));
}

TEST(UioName, OfNamesThatWouldEscapeAPathOrALogLineOnlyTheOwnerIsTold) {
  EXPECT_THAT(parse_uio_name("tcm-user/1/../file/x")->problem, HasSubstr("must be printable"));
  const auto odd = parse_uio_name("tcm-user/1/a\nb/file/x").value();
  EXPECT_THAT(odd.problem, HasSubstr("\"a\\nb\""));
  EXPECT_EQ(odd.dev_config, "file/x");
  EXPECT_EQ(parse_uio_name("tcm-user/1/d0/file/x")->problem, "");
}

TEST(UioName, LengthsAreBounded) {
  const std::string longest(255, 'n');
  EXPECT_EQ(why_refused("tcm-user/1/" + longest + "/" + longest), "accepted");
  EXPECT_THAT(why_refused("tcm-user/1/" + longest + "n/x"), HasSubstr("longer than 255"));
  EXPECT_THAT(why_refused("tcm-user/1/d0/" + longest + "n"), HasSubstr("dev_config longer than 255"));
  EXPECT_LT(why_refused("tcm-user/1/d0/" + std::string(100'000, '\n')).size(), 3000u);
}

}  // namespace
}  // namespace bulkhead::supervisor
