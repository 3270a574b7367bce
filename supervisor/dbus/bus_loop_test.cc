#include "supervisor/dbus/bus_loop.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <functional>

#include "supervisor/dbus/testing/bus_client.h"
#include "supervisor/dbus/testing/private_bus.h"

namespace bulkhead::supervisor {
namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;

constexpr int kCalls = 64;

// Takes 3 ms for each call, as a listing of very many devices may.
class SlowListener final : public BusLoop::Listener {
 public:
  Result<> connected(sd_bus* bus) override {
    const int r = sd_bus_add_object(bus, Out(slot_), "/slow", &SlowListener::called, this);
    return r < 0 ? fail_errno(-r, "add an object") : Result<>();
  }
  void disconnected() override { slot_.reset(); }
  void trouble(const Error& error, std::chrono::milliseconds) override { ADD_FAILURE() << error.what; }
  int calls = 0;

 private:
  static int called(sd_bus_message*, void* self, sd_bus_error*) noexcept {
    ++static_cast<SlowListener*>(self)->calls;
    for (const auto end = steady_clock::now() + 3ms; steady_clock::now() < end;) {
    }
    return 1;
  }
  Slot slot_;
};

TEST(BusLoop, AFloodOfSlowCallsKeepsNothingElseWaiting) {
  const PrivateBus bus(BusPolicy::Permissive);
  boost::asio::io_context io;
  SlowListener listener;
  BusLoop loop(io, bus.address(), listener);
  loop.start();
  const auto deadline = steady_clock::now() + 20s;
  const char* name = nullptr;
  while (sd_bus_get_unique_name(loop.bus(), &name) < 0) {
    ASSERT_LT(steady_clock::now(), deadline) << "no connection to the bus";
    io.run_one_for(100ms);
  }
  BusClient client(bus.address());
  for (int i = 0; i < kCalls; ++i) {
    const Message call = client.new_call(name, "/slow", "org.example.Slow", "Call");
    ASSERT_GE(sd_bus_message_set_expect_reply(call.get(), 0), 0);
    ASSERT_GE(sd_bus_send(client.bus(), call.get(), nullptr), 0);
  }
  ASSERT_GE(sd_bus_flush(client.bus()), 0);

  int before = 0, most = 0;
  std::function<void()> other = [&] {
    most = std::max(most, listener.calls - before);
    before = listener.calls;
    if (listener.calls < kCalls && steady_clock::now() < deadline) boost::asio::post(io, other);
  };
  boost::asio::post(io, other);
  while (listener.calls < kCalls && steady_clock::now() < deadline) io.run_one_for(100ms);
  EXPECT_EQ(listener.calls, kCalls);
  EXPECT_GT(most, 0);
  EXPECT_LT(most, 10) << "calls in a row while other work was due";
  loop.stop();
}

}  // namespace
}  // namespace bulkhead::supervisor
