#include "supervisor/pump/device_stats.h"

#include <gtest/gtest.h>

#include <utility>
#include <vector>

namespace bulkhead::supervisor {
namespace {

TEST(LatencyHistogram, QuantileIsTheUpperBoundOfItsBucket) {
  LatencyHistogram histogram;
  for (std::uint64_t i = 0; i < 1000; ++i) histogram.add(i < 990 ? 100 : 5000);
  EXPECT_GE(histogram.quantile(500), 100u);
  EXPECT_LT(histogram.quantile(500), 125u);
  EXPECT_GE(histogram.quantile(999), 5000u);
  EXPECT_LT(histogram.quantile(999), 6250u);
}

TEST(LatencyHistogram, CountsAreOfBucketsThatHaveSome) {
  LatencyHistogram histogram;
  histogram.add(2);
  histogram.add(100);
  histogram.add(101);
  const std::vector<std::pair<std::uint64_t, std::uint64_t>> expected = {{2, 1}, {111, 2}};
  EXPECT_EQ(histogram.counts(), expected);
}

TEST(LatencyHistogram, LastBucketHasAllThatIsLonger) {
  LatencyHistogram histogram;
  histogram.add(3'600'000'000);
  EXPECT_EQ(histogram.quantile(500), LatencyHistogram::upper_bound(LatencyHistogram::kBuckets - 1));
}

}  // namespace
}  // namespace bulkhead::supervisor
