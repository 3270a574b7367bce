#include "base/rate_limit.h"

#include <gtest/gtest.h>

namespace bulkhead {
namespace {

using namespace std::chrono_literals;

TEST(RateLimit, BurstPassesThenSilenceAndTheNextIntervalTellsHowManyWereSilenced) {
  RateLimit limit(2, 10s);
  const RateLimit::Clock::time_point start{100s};
  EXPECT_EQ(limit.admit(start), 0u);
  EXPECT_EQ(limit.admit(start + 1s), 0u);
  EXPECT_EQ(limit.admit(start + 2s), std::nullopt);
  EXPECT_EQ(limit.admit(start + 9s), std::nullopt);
  EXPECT_EQ(limit.admit(start + 10s), 2u);
  EXPECT_EQ(limit.admit(start + 11s), 0u);
  EXPECT_EQ(limit.admit(start + 12s), std::nullopt);
}

}  // namespace
}  // namespace bulkhead
