#include "supervisor/process/service_state.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <chrono>
#include <cstddef>
#include <string>
#include <vector>

#include "base/unique_fd.h"

namespace bulkhead::supervisor {
namespace {

using namespace std::chrono_literals;

// systemd's end of the socket.
class Systemd {
 public:
  Systemd() : socket_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
    sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
    name_.copy(address.sun_path, sizeof address.sun_path - 1);
    address.sun_path[0] = '\0';  // abstract: nothing is left behind
    EXPECT_EQ(::bind(socket_.get(), reinterpret_cast<const sockaddr*>(&address),
                     static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name_.size())),
              0);
  }
  // Everything that has come and was not filling.
  void read(std::vector<std::string>& states) const {
    std::array<char, 256> buffer{};
    for (;;) {
      const ssize_t got = ::recv(socket_.get(), buffer.data(), buffer.size(), 0);
      if (got < 0) return;
      if (std::string state(buffer.data(), static_cast<std::size_t>(got)); state != "X=1")
        states.push_back(std::move(state));
    }
  }
  [[nodiscard]] FdStore store() const { return FdStore(name_, 20ms); }

 private:
  std::string name_ = "@bulkhead-service-state-test-" + std::to_string(::getpid());
  UniqueFd socket_;
};

class ServiceStateTest : public ::testing::Test {
 protected:
  void wait_for(auto&& condition) {
    const auto end = std::chrono::steady_clock::now() + 20s;
    while (!condition() && std::chrono::steady_clock::now() < end) {
      io.restart();
      io.run_for(5ms);
    }
    EXPECT_TRUE(condition());
  }

  Systemd systemd;
  boost::asio::io_context io{1};
  BlockingPool pool;
  ServiceState state{io, pool, systemd.store()};
};

TEST_F(ServiceStateTest, AStoppingServiceCanWaitUntilAllIsTold) {
  bool told = false;
  auto stop = [&]() -> boost::asio::awaitable<void> {
    state.tell("STATUS=Serving");
    state.tell("STOPPING=1");
    co_await state.told();
    co_await state.told();  // nothing to wait for
    told = true;
  };
  boost::asio::co_spawn(io, stop(), boost::asio::detached);
  wait_for([&] { return told; });
  std::vector<std::string> states;
  systemd.read(states);
  EXPECT_EQ(states, (std::vector<std::string>{"STATUS=Serving", "STOPPING=1"}));
}

TEST_F(ServiceStateTest, ASystemdThatReadsLateHoldsNobodyUpAndHearsAllInOrder) {
  while (systemd.store().tell("X=1")) {
  }
  state.tell("READY=1");
  state.tell("STATUS=Serving");
  wait_for([&] { return pool.running() == 1; });
  bool went_on = false;
  boost::asio::post(io, [&] { went_on = true; });
  wait_for([&] { return went_on; });
  std::vector<std::string> states;
  wait_for([&] {
    systemd.read(states);
    return states.size() >= 2;
  });
  EXPECT_EQ(states, (std::vector<std::string>{"READY=1", "STATUS=Serving"}));
}

TEST_F(ServiceStateTest, WithoutASystemdNothingWaits) {
  ServiceState alone{io, pool, FdStore("")};
  alone.tell("READY=1");
  bool told = false;
  auto wait = [&]() -> boost::asio::awaitable<void> {
    co_await alone.told();
    told = true;
  };
  boost::asio::co_spawn(io, wait(), boost::asio::detached);
  wait_for([&] { return told; });
}

}  // namespace
}  // namespace bulkhead::supervisor
