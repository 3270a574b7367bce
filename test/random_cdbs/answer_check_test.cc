#include "test/random_cdbs/answer_check.h"

#include <gtest/gtest.h>

namespace bulkhead::random_cdbs {
namespace {

Answer check_condition(std::vector<std::uint8_t> sense) {
  return {.status = 0x02, .sense = std::move(sense)};
}

TEST(AnswerCheck, TakesWhatADiskMaySay) {
  const Command command{.data = std::vector<std::uint8_t>(512)};
  EXPECT_FALSE(wrong_with(command, {}));
  EXPECT_FALSE(wrong_with(command, {.status = 0x18}));
  EXPECT_FALSE(wrong_with(command, {.missing = 512}));
  EXPECT_FALSE(wrong_with(command, check_condition({0x70, 0, 5, 0, 0, 0, 0, 10})));
  EXPECT_FALSE(wrong_with(command, check_condition({0x72, 5, 0x20, 0, 0, 0, 0, 4, 2, 2, 0, 0})));
}

TEST(AnswerCheck, NamesWhatItMayNot) {
  const Command command{.data = std::vector<std::uint8_t>(512)};
  EXPECT_EQ(wrong_with(command, {.host_status = 3}), "host status 03: no answer of the disk");
  EXPECT_EQ(wrong_with(command, {.status = 0x22}), "status 22");
  EXPECT_EQ(wrong_with(command, {.missing = 513}), "513 bytes missing of 512");
  EXPECT_EQ(wrong_with(command, {.missing = -1}), "-1 bytes missing of 512");
  EXPECT_EQ(wrong_with(command, {.wrote_beyond_room = true}), "more data than there was room for");
  EXPECT_EQ(wrong_with(command, check_condition({})), "CHECK CONDITION with 0 bytes of sense");
  EXPECT_EQ(wrong_with(command, check_condition({0, 0, 5, 0, 0, 0, 0, 10})), "sense data of format 00");
  EXPECT_EQ(wrong_with(command, check_condition({0x71, 0, 5, 0, 0, 0, 0, 10})),
            "a deferred error, of nothing that was deferred");
  EXPECT_EQ(wrong_with(command, check_condition({0x70, 0, 4, 0, 0, 0, 0, 10})),
            "sense key HARDWARE ERROR, and nothing is broken");
  EXPECT_EQ(wrong_with(command, check_condition({0x72, 3, 0, 0, 0, 0, 0, 0})),
            "sense key MEDIUM ERROR, and nothing is broken");
  EXPECT_EQ(wrong_with(command, check_condition({0x72, 5, 0, 0, 0, 0, 0, 4, 2, 6, 0, 0})),
            "a sense data descriptor without its end");
  EXPECT_EQ(wrong_with(command, check_condition({0x72, 5, 0, 0, 0, 0, 0, 1, 2})),
            "a sense data descriptor without its end");
}

TEST(AnswerCheck, LeavesToTheKernelHowItCountsWhatItAnswersItself) {
  const Answer overflow{.missing = 58328};
  EXPECT_FALSE(wrong_with({.cdb = {0x5e}}, overflow));
  EXPECT_EQ(wrong_with({.cdb = {0x28}}, overflow), "58328 bytes missing of 0");
}

TEST(AnswerCheck, NamesOutcomes) {
  EXPECT_EQ(outcome_name({}), "GOOD");
  EXPECT_EQ(outcome_name(check_condition({0x72, 6, 0, 0, 0, 0, 0, 0})), "UNIT ATTENTION");
  EXPECT_EQ(outcome_name({.host_status = 3}), "host status 03");
}

}  // namespace
}  // namespace bulkhead::random_cdbs
