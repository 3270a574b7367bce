// The name, the connection and what happens when either is lost.
#include "supervisor/dbus/bus_service.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/unique_fd.h"
#include "supervisor/dbus/name_claim.h"
#include "supervisor/dbus/testing/bus_client.h"
#include "supervisor/dbus/testing/private_bus.h"
#include "supervisor/dbus/testing/service_fixture.h"

namespace bulkhead::supervisor {
namespace {

const std::string kName = bus::kServiceName;
const DeviceKey kKey{"user_1", "d0"};

std::string managed_handlers(BusClient& client) {
  return client.call(kName, bus::kLegacyRoot, bus::kObjectManagerInterface, "GetManagedObjects");
}

TEST(BusService, AllIsThereAgainAfterTheBusDaemonWasKilledAndStarted) {
  PrivateBus bus(BusPolicy::Installed);
  ServiceFixture service(bus.address());
  service.model.handler_list = two_handlers();
  service.model.device_map[kKey] = busy_device("user_1", "d0");
  service.start();
  ASSERT_TRUE(service.wait_until_acquired());
  std::string before = managed_handlers(*std::make_unique<BusClient>(bus.address()));

  bus.kill();
  service.run([&] {  // while there is no bus
    service.model.device_map[{"user_2", "d1"}] = busy_device("user_2", "d1");
    service.service().device_added({"user_2", "d1"});
    service.service().device_changed(kKey);
    service.service().event(kKey, "host-died", "killed by SIGKILL");
  });
  bus.start();

  ASSERT_TRUE(service.wait_until_acquired(2));
  BusClient client(bus.address());
  EXPECT_EQ(managed_handlers(client), before);
  EXPECT_EQ(client.get(kName, "/org/kernel/TCMUDevices1/user_2/d1", bus::kDeviceInterface, "Name"), "\"d1\"");
}

TEST(BusService, RegistrationsDoNotOutliveTheBusTheyWereMadeOn) {
  PrivateBus bus(BusPolicy::Installed);
  ServiceFixture service(bus.address());
  service.start();
  ASSERT_TRUE(service.wait_until_acquired());
  BusClient handler(bus.address());
  ASSERT_GE(handler.own("org.kernel.TCMUService1.HandlerManager1.glfs"), 0);
  handler.call(kName, bus::kHandlerManagerPath, bus::kHandlerManagerInterface, "RegisterHandler", "ss",
               "glfs", "x");
  bus.kill();
  bus.start();
  ASSERT_TRUE(service.wait_until_acquired(2));
  BusClient client(bus.address());
  EXPECT_EQ(managed_handlers(client), "{}");
}

TEST(BusService, ABusThatComesLateIsFound) {
  PrivateBus bus(BusPolicy::Installed);
  bus.kill();
  ServiceFixture service(bus.address());
  service.start();
  service.run([&] { service.service().device_added(kKey); });
  bus.start();
  EXPECT_TRUE(service.wait_until_acquired());
}

TEST(BusService, AnOwnedNameIsRefusedWithItsOwner) {
  PrivateBus bus(BusPolicy::Installed);
  BusClient other(bus.address());
  ASSERT_GE(other.own(kName), 0);
  ServiceFixture service(bus.address());
  service.start();
  std::string refusal = service.wait_until_refused();
  EXPECT_EQ(refusal.find("busy: the bus name org.kernel.TCMUService1 is owned by pid " +
                         std::to_string(::getpid())),
            0u)
      << refusal;
}

TEST(BusService, ANameThatIsGivenUpIsTakenLater) {
  PrivateBus bus(BusPolicy::Installed);
  BusClient other(bus.address());
  ASSERT_GE(other.own(kName), 0);
  ServiceFixture service(bus.address());
  service.start();
  ASSERT_NE(service.wait_until_refused(), "");
  ASSERT_GE(other.release(kName), 0);
  EXPECT_TRUE(service.wait_until_acquired());
}

TEST(BusService, AMissingPolicyIsToldWithTheRemedy) {
  PrivateBus bus(BusPolicy::Default);
  ServiceFixture service(bus.address());
  service.start();
  std::string refusal = service.wait_until_refused();
  EXPECT_EQ(refusal.find("denied: the message bus does not let us own org.kernel.TCMUService1"), 0u)
      << refusal;
  EXPECT_NE(refusal.find("systemctl reload dbus"), std::string::npos);
}

TEST(BusService, StoppingGivesTheNameUp) {
  PrivateBus bus(BusPolicy::Installed);
  BusClient client(bus.address());
  client.watch("type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged',arg0='" + kName +
               "',arg2=''");
  ServiceFixture service(bus.address());
  service.start();
  ASSERT_TRUE(service.wait_until_acquired());
  service.run([&] { service.service().stop(); });
  EXPECT_TRUE(client.wait_for("NameOwnerChanged"));
}

// A listening socket that never speaks D-Bus: the supervisor's thread must not wait for it.
TEST(BusService, ABusThatNeverAnswersStopsNobody) {
  std::string path = fmt::format("/tmp/bulkhead-mute-{}", ::getpid());
  UniqueFd mute(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  ::unlink(path.c_str());
  ASSERT_EQ(::bind(mute.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(::listen(mute.get(), 4), 0);
  ServiceFixture service("unix:path=" + path);
  service.model.device_map[kKey] = busy_device("user_1", "d0");
  auto begun = std::chrono::steady_clock::now();
  service.start();
  service.run([&] { service.service().device_changed(kKey); });
  EXPECT_LT(std::chrono::steady_clock::now() - begun, std::chrono::seconds(2));
  ::unlink(path.c_str());
}

TEST(BusService, AClientThatLeavesBeforeItsAnswerHurtsNobody) {
  PrivateBus bus(BusPolicy::Installed);
  ServiceFixture service(bus.address());
  service.model.handler_list = two_handlers();
  service.start();
  ASSERT_TRUE(service.wait_until_acquired());
  for (int i = 0; i < 50; ++i) {
    BusClient hasty(bus.address());
    Message call = hasty.new_call(kName, "/org/kernel/TCMUService1/file", kName, "CheckConfig");
    sd_bus_message_append(call.get(), "s", "file//x");
    sd_bus_send(hasty.bus(), call.get(), nullptr);
    sd_bus_flush(hasty.bus());
  }
  BusClient client(bus.address());
  EXPECT_EQ(client.call(kName, "/org/kernel/TCMUService1/file", kName, "CheckConfig", "s", "file//x"),
            R"(true, "success")");
}

TEST(BusService, AFloodOfCallsIsAnsweredWholly) {
  PrivateBus bus(BusPolicy::Installed);
  ServiceFixture service(bus.address());
  service.model.handler_list = two_handlers();
  service.start();
  ASSERT_TRUE(service.wait_until_acquired());
  BusClient client(bus.address());
  int answers = 0;
  constexpr int kCalls = 100;  // dbus-daemon allows 128 pending replies
  for (int i = 0; i < kCalls; ++i) {
    Message call = client.new_call(kName, "/org/kernel/TCMUService1/file", kName, "CheckConfig");
    sd_bus_message_append(call.get(), "s", "file//x");
    sd_bus_call_async(
        client.bus(), nullptr, call.get(),
        [](sd_bus_message* answer, void* count, sd_bus_error*) {
          *static_cast<int*>(count) += int{to_text(answer) == "true, \"success\""};
          return 0;
        },
        &answers, 10'000'000);
  }
  EXPECT_TRUE(client.wait([&](const std::string&) { return answers == kCalls; })) << answers;
}

TEST(DescribeProcess, NamesPidAndCommand) {
  EXPECT_NE(
      describe_process(static_cast<std::uint32_t>(::getpid())).find(fmt::format("pid {} (", ::getpid())),
      std::string::npos);
  EXPECT_EQ(describe_process(0xfffffff0), "pid 4294967280");
}

}  // namespace
}  // namespace bulkhead::supervisor
