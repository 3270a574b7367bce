// The operators' view, through a real bus.
#include "supervisor/dbus/device_objects.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "supervisor/dbus/testing/bus_client.h"
#include "supervisor/dbus/testing/private_bus.h"
#include "supervisor/dbus/testing/service_fixture.h"

namespace bulkhead::supervisor {
namespace {

const std::string kName = bus::kServiceName;
const std::string kDevice = bus::kDeviceInterface;
const std::string kD0 = "/org/kernel/TCMUDevices1/user_1/d0";
const DeviceKey kKey{"user_1", "d0"};
const std::string kProperties = "org.freedesktop.DBus.Properties";

class DeviceObjectsTest : public ::testing::Test {
 protected:
  explicit DeviceObjectsTest(BusPolicy policy = BusPolicy::Installed)
      : bus_(policy), service_(bus_.address()), client_(bus_.address()) {
    service_.model.handler_list = two_handlers();
    service_.model.device_map[kKey] = busy_device("user_1", "d0");
    service_.start();
    EXPECT_TRUE(service_.wait_until_acquired());
  }
  std::string get(const std::string& property) { return client_.get(kName, kD0, kDevice, property); }
  std::string call(const std::string& method) { return client_.call(kName, kD0, kDevice, method); }
  void change(const std::function<void(DeviceReport&)>& how) {
    service_.run([&] { how(service_.model.device_map[kKey]); });
  }
  void announce() {
    service_.run([this] { service_.service().device_changed(kKey); });
  }
  std::vector<std::string> model_calls() {
    return service_.ask<std::vector<std::string>>([this] { return service_.model.calls; });
  }
  // A call that comes back after every signal that was sent before it.
  void round_trip() { client_.call(kName, kD0, "org.freedesktop.DBus.Peer", "Ping"); }

  PrivateBus bus_;
  ServiceFixture service_;
  BusClient client_;
};

TEST_F(DeviceObjectsTest, EveryPropertyShowsItsFieldOfTheReport) {
  const std::pair<const char*, const char*> expected[] = {
      {"Name", "\"d0\""},
      {"Hba", "\"user_1\""},
      {"Subtype", "\"file\""},
      {"Config", "\"file//srv/d0.img\""},
      {"UioMinor", "3"},
      {"WWN", "\"00c0ffee-0000-4000-8000-000000000001\""},
      {"Size", "1073741824"},
      {"BlockSize", "512"},
      {"ReadOnly", "false"},
      {"WriteCache", "true"},
      {"State", "\"serving\""},
      {"StateReason", "\"\""},
      {"StateSince", "1700000000000001"},
      {"HostPid", "4242"},
      {"HostSince", "1700000000000000"},
      {"HostUid", "61001"},
      {"Restarts", "2"},
      {"Adoptions", "4"},
      {"Deaths", "6"},
      {"WatchdogKills", "1"},
      {"LastExit", "\"killed by SIGKILL\""},
      {"Sandbox", R"({"landlock": <"missing: old kernel">, "seccomp": <"on">})"},
      {"IoGrants", "\"granted\""},
      {"LimitIops", "100"},
      {"LimitBytesPerSecond", "10000000000"},
      {"LimitsFrom", "\"tcmu.conf\""},
      {"InFlight", "7"},
      {"OldestCommandUsec", "900"},
      {"Commands", R"({"flush": 0, "other": 0, "read": 100, "unmap": 0, "write": 50})"},
      {"Bytes", R"({"flush": 0, "other": 0, "read": 409600, "unmap": 0, "write": 204800})"},
      {"Errors", R"({"flush": 0, "other": 0, "read": 1, "unmap": 0, "write": 0})"},
      {"ErrorsBySense", R"({"medium error": 1})"},
      {"Replayed", "5"},
      {"Expired", "8"},
      {"Poisoned", "9"},
      {"LongestStallUsec", "31000"},
      {"Throttled", "12"},
      {"ThrottledUsec", "34000"},
      {"Aborts", "3"},
      {"Resets", "1"},
      {"AbortedCommands", "4"},
      {"GrantedCommands", R"({"flush": 3, "in vain": 2, "read": 11, "write": 12})"},
      {"LatencyUsec",
       R"({"host_p50": 60, "host_p99": 300, "max": 5000, "p50": 80, "p90": 120, "p99": 400, "p99.9": 900})"},
      {"LatencyHistograms", R"({"all": [(79, 140), (447, 10)], "wait": []})"},
      {"HandlerCounters", R"({"punched_bytes": 4096})"},
  };
  for (const auto& [property, value] : expected) EXPECT_EQ(get(property), value) << property;
  std::string all = client_.call(kName, kD0, kProperties, "GetAll", "s", kDevice.c_str());
  const std::ptrdiff_t walls = 2;  // each of them a variant too
  EXPECT_EQ(std::count(all.begin(), all.end(), '<'), std::ssize(expected) + walls);
}

TEST_F(DeviceObjectsTest, ReadingEveryPropertyAsksTheModelOnce) {
  int before = service_.ask<int>([this] { return service_.model.reports_made; });
  client_.call(kName, kD0, kProperties, "GetAll", "s", kDevice.c_str());
  EXPECT_EQ(service_.ask<int>([this] { return service_.model.reports_made; }), before + 1);
}

TEST_F(DeviceObjectsTest, ValuesAreFreshInEveryAnswer) {
  EXPECT_EQ(get("InFlight"), "7");
  change([](DeviceReport& report) { report.in_flight = 8; });
  EXPECT_EQ(get("InFlight"), "8");
}

TEST_F(DeviceObjectsTest, DevicesAndHandlersAreUnderTheirOwnObjectManager) {
  std::string all = client_.call(kName, bus::kDevicesRoot, bus::kObjectManagerInterface, "GetManagedObjects");
  for (const char* part :
       {"\"/org/kernel/TCMUDevices1/user_1/d0\": {", "\"/org/kernel/TCMUDevices1/handlers/file\": {",
        "\"/org/kernel/TCMUDevices1/handlers/qcow\": {", "\"Name\": <\"d0\">"})
    EXPECT_NE(all.find(part), std::string::npos) << part;
}

TEST_F(DeviceObjectsTest, AConfigThatIsNotUtf8IsShownWithReplacements) {
  change([](DeviceReport& report) { report.config = "file//srv/\xff.img"; });
  EXPECT_EQ(get("Config"), "\"file//srv/\xef\xbf\xbd.img\"");
  EXPECT_EQ(
      client_.call(kName, bus::kDevicesRoot, bus::kObjectManagerInterface, "GetManagedObjects").find("ERROR"),
      std::string::npos);
}

TEST_F(DeviceObjectsTest, ComingAndGoingIsAnnounced) {
  client_.watch("type='signal',path='/org/kernel/TCMUDevices1'");
  const DeviceKey key{"user_2", "vm.1"};
  service_.run([&] {
    service_.model.device_map[key] = busy_device("user_2", "vm.1");
    service_.service().device_added(key);
  });
  ASSERT_TRUE(client_.wait_for(
      R"(InterfacesAdded /org/kernel/TCMUDevices1 "/org/kernel/TCMUDevices1/user_2/vm_2e1")"));
  EXPECT_EQ(client_.get(kName, bus::kDevicesRoot, bus::kManagerInterface, "DeviceCount"), "2");
  service_.run([&] {
    service_.model.device_map.erase(key);
    service_.service().device_removed(key);
  });
  ASSERT_TRUE(client_.wait_for(
      R"(InterfacesRemoved /org/kernel/TCMUDevices1 "/org/kernel/TCMUDevices1/user_2/vm_2e1")"));
  EXPECT_EQ(client_.get(kName, "/org/kernel/TCMUDevices1/user_2/vm_2e1", kDevice, "Name").find("ERROR"), 0u);
  EXPECT_EQ(client_.get(kName, bus::kDevicesRoot, bus::kManagerInterface, "DeviceCount"), "1");
}

TEST_F(DeviceObjectsTest, AChangeOfStateIsAnnouncedAtOnceWithExactlyWhatChanged) {
  client_.watch("type='signal',path='" + kD0 + "'");
  change([](DeviceReport& report) {
    report.state = DeviceState::Recovering;
    report.state_reason = "its host was killed by SIGSEGV";
    report.host_pid = 0;
    report.in_flight = 9;
  });
  announce();
  ASSERT_TRUE(client_.wait_for("PropertiesChanged"));
  EXPECT_EQ(client_.signals(), "PropertiesChanged " + kD0 +
                                   R"( "org.kernel.TCMUService1.Device1", {"State": <"recovering">, )"
                                   R"("StateReason": <"its host was killed by SIGSEGV">, "HostPid": <0>}, [])"
                                   "\n");
}

TEST_F(DeviceObjectsTest, NothingIsAnnouncedWhenOnlyCountersChangedAndNobodyReads) {
  client_.watch("type='signal',path='" + kD0 + "'");
  change([](DeviceReport& report) { ++report.kinds[0].commands; });
  announce();
  round_trip();
  EXPECT_EQ(client_.signals(), "");
}

TEST_F(DeviceObjectsTest, CountersAreAnnouncedAfterSomebodyReadThem) {
  client_.watch("type='signal',path='" + kD0 + "'");
  get("Name");
  change([](DeviceReport& report) { report.kinds[0].commands = 101; });
  ASSERT_TRUE(client_.wait_for("PropertiesChanged"));
  EXPECT_EQ(client_.signals(),
            "PropertiesChanged " + kD0 +
                R"( "org.kernel.TCMUService1.Device1", {"Commands": <{"flush": 0, "other": 0, )"
                R"("read": 101, "unmap": 0, "write": 50}>}, [])"
                "\n");
}

TEST_F(DeviceObjectsTest, RootRestartsHoldsAndResumes) {
  EXPECT_EQ(call("Restart"), "");
  EXPECT_EQ(call("Hold"), "");
  EXPECT_EQ(call("Resume"), "");
  EXPECT_EQ(model_calls(),
            (std::vector<std::string>{"restart user_1/d0", "hold user_1/d0", "resume user_1/d0"}));
}

TEST_F(DeviceObjectsTest, RootSetsLimitsAndGivesThemUpAgain) {
  EXPECT_EQ(client_.call(kName, kD0, kDevice, "SetLimits", "tt", std::uint64_t{200}, std::uint64_t{0}), "");
  EXPECT_EQ(call("ResetLimits"), "");
  EXPECT_EQ(model_calls(),
            (std::vector<std::string>{"limit to 200 and 0 user_1/d0", "reset limits of user_1/d0"}));
  EXPECT_EQ(client_.call(kName, kD0, kDevice, "SetLimits", "ss", "fast", "slow").find("ERROR"), 0u);
  EXPECT_EQ(model_calls().size(), 2u);
}

TEST_F(DeviceObjectsTest, ARefusedOperationSaysWhy) {
  service_.run([this] {
    service_.model.operation_outcome = fail(Cause::Busy, 0, "user_1/d0 is recovering: wait until it serves");
  });
  EXPECT_EQ(call("Hold"),
            "ERROR org.freedesktop.DBus.Error.Failed: user_1/d0 is recovering: wait until it serves");
  service_.run([this] { service_.model.operation_outcome = fail(Cause::TimedOut, 0, "no answer in 20 s"); });
  EXPECT_EQ(call("Restart"), "ERROR org.freedesktop.DBus.Error.Timeout: no answer in 20 s");
}

TEST_F(DeviceObjectsTest, OthersMayReadEverythingAndChangeNothing) {
  as_nobody([this] {
    BusClient nobody(bus_.address());
    EXPECT_EQ(nobody.get(kName, kD0, kDevice, "State"), "\"serving\"");
    EXPECT_EQ(nobody.call(kName, bus::kDevicesRoot, bus::kObjectManagerInterface, "GetManagedObjects")
                  .find("ERROR"),
              std::string::npos);
    EXPECT_NE(nobody.introspect(kName, kD0).find("Device1"), std::string::npos);
    for (const char* method : {"Restart", "Hold", "Resume", "ResetLimits"})
      EXPECT_EQ(
          nobody.call(kName, kD0, kDevice, method).find("ERROR org.freedesktop.DBus.Error.AccessDenied"), 0u);
    EXPECT_EQ(nobody.call(kName, kD0, kProperties, "Set", "ssv", kDevice.c_str(), "State", "s", "held")
                  .find("ERROR"),
              0u);
  });
  EXPECT_TRUE(model_calls().empty());
}

class DevicesOnAPermissiveBus : public DeviceObjectsTest {
 protected:
  DevicesOnAPermissiveBus() : DeviceObjectsTest(BusPolicy::Permissive) {}
};

TEST_F(DevicesOnAPermissiveBus, TheServiceItselfRefusesWhoIsNotRoot) {
  as_nobody([this] {
    BusClient nobody(bus_.address());
    EXPECT_EQ(nobody.call(kName, kD0, kDevice, "Restart"),
              "ERROR org.freedesktop.DBus.Error.AccessDenied: Restart of user_1/d0 is for root only");
  });
  EXPECT_TRUE(model_calls().empty());
}

TEST_F(DeviceObjectsTest, PropertiesCannotBeSet) {
  EXPECT_EQ(client_.call(kName, kD0, kProperties, "Set", "ssv", kDevice.c_str(), "State", "s", "held")
                .find("ERROR org.freedesktop.DBus.Error.PropertyReadOnly"),
            0u);
}

TEST_F(DeviceObjectsTest, TheManagerTellsVersionCountsAndEvents) {
  EXPECT_EQ(client_.get(kName, bus::kDevicesRoot, bus::kManagerInterface, "Version"), "\"1.2.3\"");
  EXPECT_EQ(client_.get(kName, bus::kDevicesRoot, bus::kManagerInterface, "DevicesByState"),
            R"({"serving": 1})");
  EXPECT_GT(std::stoull(client_.get(kName, bus::kDevicesRoot, bus::kManagerInterface, "StartTime")),
            1'500'000'000'000'000u);
  client_.watch("type='signal',path='/org/kernel/TCMUDevices1'");
  change([](DeviceReport& report) { report.state = DeviceState::Failed; });
  service_.run([this] {
    service_.service().device_changed(kKey);
    service_.service().event(kKey, "open-failed", "open /srv/d0.img: No such file or directory");
  });
  ASSERT_TRUE(client_.wait_for("Event"));
  EXPECT_EQ(client_.signals(),
            "PropertiesChanged /org/kernel/TCMUDevices1 \"org.kernel.TCMUService1.Manager1\", "
            "{\"DeviceCount\": <1>, \"DevicesByState\": <{\"failed\": 1}>}, []\n"
            "Event /org/kernel/TCMUDevices1 \"open-failed\", \"/org/kernel/TCMUDevices1/user_1/d0\", "
            "\"open /srv/d0.img: No such file or directory\"\n");
}

TEST_F(DeviceObjectsTest, AHandlersProblemIsShown) {
  EXPECT_EQ(client_.get(kName, "/org/kernel/TCMUDevices1/handlers/qcow", bus::kHandlerInterface, "Problem"),
            "\"\"");
  EXPECT_EQ(client_.get(kName, "/org/kernel/TCMUDevices1/handlers/qcow", bus::kHandlerInterface, "Library"),
            "\"/usr/lib/tcmu-bulkhead/handlers/handler_qcow.so\"");
}

}  // namespace
}  // namespace bulkhead::supervisor
