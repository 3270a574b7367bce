#include "base/bounded_queue.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace bulkhead {
namespace {

TEST(BoundedQueue, FullQueueRefusesUntilSomethingWasTaken) {
  BoundedQueue<int> queue(2);
  auto push = [&](int number) { return queue.push([number](int& cell) { cell = number; }); };
  EXPECT_TRUE(push(1));
  EXPECT_TRUE(push(2));
  EXPECT_FALSE(push(3));
  int taken = 0;
  EXPECT_TRUE(queue.pop([&](int cell) { taken = cell; }));
  EXPECT_EQ(taken, 1);
  EXPECT_TRUE(push(4));
  EXPECT_TRUE(queue.pop([&](int cell) { taken = cell; }));
  EXPECT_EQ(taken, 2);
}

TEST(BoundedQueue, ManyProducersEachKeepTheirOrderAndNothingIsLostOrDoubled) {
  struct Item {
    int producer;
    int number;
  };
  constexpr int kProducers = 4;
  constexpr int kEach = 20'000;
  BoundedQueue<Item> queue(64);
  std::vector<std::jthread> producers;
  for (int producer = 0; producer < kProducers; ++producer)
    producers.emplace_back([&queue, producer] {
      for (int number = 0; number < kEach; ++number)
        while (!queue.push([&](Item& item) { item = {producer, number}; })) std::this_thread::yield();
    });
  std::vector<int> next(kProducers, 0);
  int in_order = 0;
  for (int taken = 0; taken < kProducers * kEach;) {
    const bool got = queue.pop([&](const Item& item) {
      in_order += item.number == next[static_cast<std::size_t>(item.producer)]++ ? 1 : 0;
    });
    if (got)
      ++taken;
    else
      std::this_thread::yield();
  }
  EXPECT_EQ(in_order, kProducers * kEach);
  EXPECT_TRUE(queue.empty());
}

}  // namespace
}  // namespace bulkhead
