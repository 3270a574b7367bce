#include "supervisor/device/start_gate.h"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <map>
#include <vector>

namespace bulkhead::supervisor {
namespace {

class StartGateTest : public ::testing::Test {
 protected:
  // Asks for a turn and keeps it.
  void ask(int who, bool first = false) {
    auto asking = [](StartGateTest* self, int me, bool urgent) -> boost::asio::awaitable<void> {
      auto taking = self->gate.take(urgent);
      auto turn = co_await std::move(taking);
      self->order.push_back(me);
      self->turns.insert_or_assign(me, std::move(turn));
    };
    boost::asio::co_spawn(io, asking(this, who, first), boost::asio::detached);
    settle();
  }
  void end(int who) {
    turns.erase(who);
    settle();
  }
  void settle() {
    io.restart();
    io.poll();
  }

  boost::asio::io_context io;
  StartGate gate{io, 2};
  std::map<int, StartGate::Turn> turns;
  std::vector<int> order;
};

TEST_F(StartGateTest, SoManyGoOnAndTheOthersWaitInTheirOrder) {
  for (int who = 1; who <= 5; ++who) ask(who);
  EXPECT_EQ(order, (std::vector{1, 2}));
  end(2);
  EXPECT_EQ(order, (std::vector{1, 2, 3}));
  end(1);
  end(3);
  EXPECT_EQ(order, (std::vector{1, 2, 3, 4, 5}));
  end(4);
  end(5);
  ask(6);
  ask(7);
  ask(8);
  EXPECT_EQ(order, (std::vector{1, 2, 3, 4, 5, 6, 7})) << "all turns have come back, and no more than those";
}

TEST_F(StartGateTest, WhoServedBeforeComesFirst) {
  ask(1);
  ask(2);
  ask(3);
  ask(4, true);
  ask(5, true);
  end(1);
  end(2);
  EXPECT_EQ(order, (std::vector{1, 2, 4, 5}));
  end(4);
  EXPECT_EQ(order.back(), 3);
}

TEST_F(StartGateTest, ATurnEndsOnce) {
  ask(1);
  ask(2);
  ask(3);
  ask(4);
  turns.at(1).end();
  turns.at(1).end();
  settle();
  EXPECT_EQ(order, (std::vector{1, 2, 3}));
  end(1);
  EXPECT_EQ(order, (std::vector{1, 2, 3}));
}

TEST_F(StartGateTest, AMovedTurnIsOneTurn) {
  ask(1);
  ask(2);
  ask(3);
  turns.at(1) = std::move(turns.at(2));
  settle();
  EXPECT_EQ(order, (std::vector{1, 2, 3})) << "the turn that was overwritten has ended";
  ask(4);
  turns.erase(2);
  settle();
  EXPECT_EQ(order.size(), 3u) << "what was moved away is not there to end";
}

}  // namespace
}  // namespace bulkhead::supervisor
