#include "supervisor/channel/page_map.h"

#include <gtest/gtest.h>

#include <random>
#include <set>

namespace bulkhead::supervisor {
namespace {

TEST(PageMap, LowestRunIsTakenFirst) {
  PageMap map(256);
  EXPECT_EQ(map.take(3), 0u);
  EXPECT_EQ(map.take(1), 3u);
  map.give_back(0, 3);
  EXPECT_EQ(map.take(2), 0u);
}

TEST(PageMap, RunCrossesWordBoundaries) {
  PageMap map(256);
  ASSERT_EQ(map.take(60), 0u);
  EXPECT_EQ(map.take(130), 60u);
  EXPECT_EQ(map.take(66), 190u);
  EXPECT_EQ(map.take(1), std::nullopt);
}

TEST(PageMap, EndOfAMapThatIsNoMultipleOfAWordIsRespected) {
  PageMap map(70);
  EXPECT_EQ(map.take(71), std::nullopt);
  EXPECT_EQ(map.take(70), 0u);
  map.give_back(64, 6);
  EXPECT_EQ(map.take(7), std::nullopt);
  EXPECT_EQ(map.take(6), 64u);
}

TEST(PageMap, RandomUseAgreesWithAPlainSet) {
  PageMap map(200);
  std::set<std::uint32_t> taken;
  std::vector<std::pair<std::uint32_t, std::uint32_t>> runs;
  std::mt19937 random(3);
  for (int i = 0; i < 20000; ++i) {
    if (random() % 2 == 0 || runs.empty()) {
      const auto count = static_cast<std::uint32_t>(1 + random() % 40);
      std::optional<std::uint32_t> expected;
      for (std::uint32_t at = 0; at + count <= 200 && !expected; ++at) {
        bool free = true;
        for (std::uint32_t page = at; page < at + count && free; ++page) free = !taken.contains(page);
        if (free) expected = at;
      }
      ASSERT_EQ(map.take(count), expected);
      if (!expected) continue;
      for (std::uint32_t page = *expected; page < *expected + count; ++page) taken.insert(page);
      runs.emplace_back(*expected, count);
    } else {
      const std::size_t which = random() % runs.size();
      const auto [first, count] = runs[which];
      runs.erase(runs.begin() + static_cast<std::ptrdiff_t>(which));
      map.give_back(first, count);
      for (std::uint32_t page = first; page < first + count; ++page) taken.erase(page);
    }
  }
}

}  // namespace
}  // namespace bulkhead::supervisor
