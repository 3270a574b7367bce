#include "handler-host/scsi/copy/copy_results.h"

#include <gtest/gtest.h>

namespace bulkhead::scsi {
namespace {

using namespace std::chrono_literals;
using State = CopyResult::State;

constexpr CopyResults::Time kStart{1000s};

CopyResults::Place begin(CopyResults& results, std::uint32_t id, CopyResults::Time now = kStart) {
  const auto place = results.begin(id, 0, now);
  EXPECT_TRUE(place.has_value()) << id;
  return place.value_or(CopyResults::kNowhere);
}

TEST(CopyResults, KnowsNothingOfAnIdentifierThatNobodyUsed) {
  CopyResults results;
  EXPECT_EQ(results.find(0, kStart), nullptr);
}

TEST(CopyResults, FollowsACommandFromItsStartToItsEnd) {
  CopyResults results;
  const auto place = results.begin(7, 0x01, kStart).value();
  results.progress(place, 4096, 2);
  const CopyResult* result = results.find(7, kStart);
  ASSERT_NE(result, nullptr);
  EXPECT_EQ(result->state, State::InProgress);
  EXPECT_EQ(result->service_action, 0x01);
  EXPECT_EQ(result->bytes, 4096u);
  EXPECT_EQ(result->segments, 2u);
  results.end(place, std::nullopt, kStart, 5s);
  EXPECT_EQ(result->state, State::Completed);
  EXPECT_EQ(result->bytes, 4096u);
}

TEST(CopyResults, KeepsWhyACommandFailed) {
  CopyResults results;
  const auto place = begin(results, 7);
  results.end(place, Sense{SenseKey::CopyAborted, asc::kCopyTargetNotReachable}, kStart, 5s);
  EXPECT_EQ(results.find(7, kStart)->state, State::Failed);
  EXPECT_EQ(results.find(7, kStart)->sense->code, asc::kCopyTargetNotReachable);
}

TEST(CopyResults, AreHeldAsLongAsSaidAndNotLonger) {
  CopyResults results;
  results.end(begin(results, 7), std::nullopt, kStart, 5s);
  EXPECT_NE(results.find(7, kStart + 4999ms), nullptr);
  EXPECT_EQ(results.find(7, kStart + 5s), nullptr);
}

TEST(CopyResults, OfACommandUnderWayAreHeldHoweverLongItTakes) {
  CopyResults results;
  begin(results, 7);
  EXPECT_NE(results.find(7, kStart + 24h), nullptr);
}

TEST(CopyResults, AreForgottenWhenToldOf) {
  CopyResults results;
  results.end(begin(results, 7), std::nullopt, kStart, 5s);
  results.forget(*results.find(7, kStart));
  EXPECT_EQ(results.find(7, kStart), nullptr);
}

TEST(CopyResults, ACommandWithTheSameIdentifierTakesThePlaceOfAnEarlierOne) {
  CopyResults results;
  results.end(begin(results, 7), Sense{SenseKey::CopyAborted, asc::kNone}, kStart, 5s);
  results.end(begin(results, 7), std::nullopt, kStart, 5s);
  results.forget(*results.find(7, kStart));
  EXPECT_EQ(results.find(7, kStart), nullptr);
}

TEST(CopyResults, TwoInitiatorsWithOneIdentifierDoNotStopEachOther) {
  CopyResults results;
  const auto first = begin(results, 7);
  const auto second = begin(results, 7);
  EXPECT_NE(first, second);
  results.progress(second, 1, 1);
  results.end(first, std::nullopt, kStart, 5s);
  EXPECT_EQ(results.find(7, kStart)->state, State::InProgress);  // of the younger
}

TEST(CopyResults, TheTableIsFullOnlyOfCommandsUnderWay) {
  CopyResults results;
  for (std::uint32_t id = 0; id < CopyResults::kCapacity; ++id)
    results.end(begin(results, id), std::nullopt, kStart + std::chrono::seconds(id), 60s);
  begin(results, 100, kStart + 30s);
  EXPECT_EQ(results.find(0, kStart + 30s), nullptr);  // ended first
  EXPECT_NE(results.find(1, kStart + 30s), nullptr);
  for (std::uint32_t id = 101; id < 100 + CopyResults::kCapacity; ++id) begin(results, id, kStart + 30s);
  EXPECT_FALSE(results.begin(200, 0, kStart + 30s).has_value());
}

TEST(CopyResults, NothingIsKeptOfCommandsWithoutAnIdentifier) {
  CopyResults results;
  results.progress(CopyResults::kNowhere, 1, 1);
  results.end(CopyResults::kNowhere, std::nullopt, kStart, 5s);
  EXPECT_EQ(results.find(0, kStart), nullptr);
}

}  // namespace
}  // namespace bulkhead::scsi
