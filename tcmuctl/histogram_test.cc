#include "tcmuctl/histogram.h"

#include <gtest/gtest.h>

namespace bulkhead::tcmuctl {
namespace {

TEST(Histogram, TellsOfTheTimeBetweenTwoReadings) {
  const Histogram before = {{10, 100}, {20, 5}};
  const Histogram now = {{10, 100}, {20, 104}, {5000, 1}};
  const Histogram between = counted_since(before, now);
  EXPECT_EQ(quantile(between, 0.5), 20u);
  EXPECT_EQ(quantile(between, 0.99), 20u);
  EXPECT_EQ(quantile(between, 1), 5000u);
}

TEST(Histogram, OfANewSupervisorIsTakenWhole) {
  EXPECT_EQ(counted_since({{10, 100}}, {{10, 3}}), (Histogram{{10, 3}}));
  EXPECT_EQ(counted_since({{10, 100}}, {{20, 3}}), (Histogram{{20, 3}}));
}

TEST(Histogram, OfNothingHasNoQuantile) {
  EXPECT_EQ(quantile({}, 0.5), std::nullopt);
  EXPECT_EQ(quantile(counted_since({{10, 2}}, {{10, 2}}), 0.5), std::nullopt);
}

}  // namespace
}  // namespace bulkhead::tcmuctl
