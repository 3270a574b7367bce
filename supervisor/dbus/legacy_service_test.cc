// What clients of tcmu-runner see, through a real bus.
#include "supervisor/dbus/legacy_service.h"

#include <gtest/gtest.h>

#include "supervisor/dbus/testing/bus_client.h"
#include "supervisor/dbus/testing/private_bus.h"
#include "supervisor/dbus/testing/service_fixture.h"

namespace bulkhead::supervisor {
namespace {

const std::string kName = bus::kServiceName;
const std::string kRoot = bus::kLegacyRoot;
const std::string kFile = kRoot + "/file";
const std::string kObjectManager = bus::kObjectManagerInterface;
const std::string kTwoHandlers =
    R"({"/org/kernel/TCMUService1/file": {"org.kernel.TCMUService1": {"ConfigDesc": <"/path[?options]">}}, )"
    R"("/org/kernel/TCMUService1/qcow": {"org.kernel.TCMUService1": {"ConfigDesc": <"/path/to/image">}}})";

class LegacyServiceTest : public ::testing::Test {
 protected:
  LegacyServiceTest() : bus_(BusPolicy::Installed), service_(bus_.address()), client_(bus_.address()) {
    service_.model.handler_list = two_handlers();
  }
  void serve() {
    service_.start();
    ASSERT_TRUE(service_.wait_until_acquired());
  }
  std::string check(const std::string& config) {
    return client_.call(kName, kFile, kName, "CheckConfig", "s", config.c_str());
  }
  std::vector<std::string> model_calls() {
    return service_.ask<std::vector<std::string>>([this] { return service_.model.calls; });
  }

  PrivateBus bus_;
  ServiceFixture service_;
  BusClient client_;
};

TEST_F(LegacyServiceTest, ManagedObjectsAreExactlyTheHandlersAsGLibWritesThem) {
  serve();
  EXPECT_EQ(client_.call(kName, kRoot, kObjectManager, "GetManagedObjects"), kTwoHandlers);
}

TEST_F(LegacyServiceTest, NoDeviceAndNoHandlerManagerIsAmongTheManagedObjects) {
  service_.model.device_map[{"user_1", "d0"}] = busy_device("user_1", "d0");
  serve();
  EXPECT_EQ(client_.call(kName, kRoot, kObjectManager, "GetManagedObjects"), kTwoHandlers);
}

TEST_F(LegacyServiceTest, TheTreeBeneathTheRootIsHandlersAndHandlerManager) {
  serve();
  std::string xml = client_.introspect(kName, kRoot);
  EXPECT_NE(xml.find("<node name=\"file\"/>"), std::string::npos);
  EXPECT_NE(xml.find("<node name=\"qcow\"/>"), std::string::npos);
  EXPECT_NE(xml.find("<node name=\"HandlerManager1\"/>"), std::string::npos);
  EXPECT_NE(xml.find("<interface name=\"org.freedesktop.DBus.ObjectManager\">"), std::string::npos);
}

TEST_F(LegacyServiceTest, WhoeverSeesTheNameSeesEveryHandler) {
  client_.watch("type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged',arg0='" + kName + "'");
  service_.start();
  ASSERT_TRUE(client_.wait_for("NameOwnerChanged"));
  EXPECT_EQ(client_.call(kName, kRoot, kObjectManager, "GetManagedObjects"), kTwoHandlers);
}

TEST_F(LegacyServiceTest, ConfigDescIsAProperty) {
  serve();
  EXPECT_EQ(client_.get(kName, kFile, kName, "ConfigDesc"), R"("/path[?options]")");
  EXPECT_EQ(client_.call(kName, kFile, "org.freedesktop.DBus.Properties", "GetAll", "s", kName.c_str()),
            R"({"ConfigDesc": <"/path[?options]">})");
}

TEST_F(LegacyServiceTest, ConfigDescThatIsNotUtf8SpoilsNothing) {
  service_.model.handler_list[0].config_description =
      "a\xff"
      "b";
  serve();
  EXPECT_EQ(client_.get(kName, kFile, kName, "ConfigDesc"),
            "\"a\xef\xbf\xbd"
            "b\"");
  EXPECT_EQ(client_.call(kName, kRoot, kObjectManager, "GetManagedObjects").find("ERROR"), std::string::npos);
}

TEST_F(LegacyServiceTest, CheckConfigOfAGoodStringIsTrueAndSuccess) {
  serve();
  EXPECT_EQ(check("file//srv/a.img"), R"(true, "success")");
  EXPECT_EQ(model_calls(), std::vector<std::string>{"check file /srv/a.img root"});
}

TEST_F(LegacyServiceTest, CheckConfigOfABadStringIsFalseAndTheReason) {
  service_.model.verdict = {false, "open /srv/a.img: No such file or directory"};
  serve();
  EXPECT_EQ(check("file//srv/a.img"), R"(false, "open /srv/a.img: No such file or directory")");
}

TEST_F(LegacyServiceTest, CheckConfigWithoutTheSubtypeMeansTheWholeString) {
  serve();
  check("/srv/a.img");
  check("qcow//srv/a.img");
  check("file");
  EXPECT_EQ(model_calls(),
            (std::vector<std::string>{"check file /srv/a.img root", "check file qcow//srv/a.img root",
                                      "check file file root"}));
}

TEST_F(LegacyServiceTest, CheckConfigIsForEveryoneButTellsTheModelWhoAsks) {
  serve();
  as_nobody([this] {
    BusClient nobody(bus_.address());
    EXPECT_EQ(nobody.call(kName, kFile, kName, "CheckConfig", "s", "file//etc/shadow"), R"(true, "success")");
  });
  EXPECT_EQ(model_calls(), std::vector<std::string>{"check file /etc/shadow anyone"});
}

TEST_F(LegacyServiceTest, CheckConfigOfABrokenHandlerIsFalseAndItsProblem) {
  service_.model.handler_list[0].problem = "handler_file.so: liburing.so.2: cannot open shared object file";
  serve();
  EXPECT_EQ(check("file//x"), R"(false, "handler_file.so: liburing.so.2: cannot open shared object file")");
  EXPECT_TRUE(model_calls().empty());
}

TEST_F(LegacyServiceTest, CheckConfigOfAMebibyteIsFalseAndTheModelNeverSeesIt) {
  serve();
  EXPECT_EQ(
      check("file/" + std::string(1 << 20, 'x')),
      R"(false, "the config string has 1048581 bytes; at most 4096 are possible: use a shorter path, for instance )"
      R"(by a symbolic link")");
  EXPECT_TRUE(model_calls().empty());
}

TEST_F(LegacyServiceTest, WrongSignaturesAreInvalidArgsAndTheServiceGoesOn) {
  serve();
  std::string invalid = "ERROR org.freedesktop.DBus.Error.InvalidArgs";
  EXPECT_EQ(client_.call(kName, kFile, kName, "CheckConfig").substr(0, invalid.size()), invalid);
  EXPECT_EQ(client_.call(kName, kFile, kName, "CheckConfig", "u", 7u).substr(0, invalid.size()), invalid);
  EXPECT_EQ(client_.call(kName, kFile, kName, "CheckConfig", "ss", "a", "b").substr(0, invalid.size()),
            invalid);
  EXPECT_EQ(
      client_.call(kName, kRoot, kObjectManager, "GetManagedObjects", "s", "a").substr(0, invalid.size()),
      invalid);
  EXPECT_EQ(check("file//x"), R"(true, "success")");
}

TEST_F(LegacyServiceTest, ChangeMediumIsUnknownAsItAlwaysWas) {
  serve();
  EXPECT_EQ(client_.call(kName, kFile, kName, "ChangeMedium", "sts", "d0", std::uint64_t{1}, "file//x")
                .find("ERROR org.freedesktop.DBus.Error.UnknownMethod"),
            0u);
}

TEST_F(LegacyServiceTest, TwoManifestsOfOneSubtypeLeaveTheFirst) {
  service_.model.handler_list.push_back(service_.model.handler_list[0]);
  service_.model.handler_list.back().config_description = "second";
  serve();
  EXPECT_EQ(client_.get(kName, kFile, kName, "ConfigDesc"), R"("/path[?options]")");
}

TEST_F(LegacyServiceTest, ASubtypeThatIsNoPathElementHidesNoOther) {
  service_.model.handler_list[1].subtype = "../HandlerManager1";
  serve();
  EXPECT_EQ(
      client_.call(kName, kRoot, kObjectManager, "GetManagedObjects"),
      R"({"/org/kernel/TCMUService1/file": {"org.kernel.TCMUService1": {"ConfigDesc": <"/path[?options]">}}})");
}

TEST_F(LegacyServiceTest, EveryObjectAnswersPing) {
  serve();
  for (const std::string& path : {kRoot, kFile, std::string(bus::kHandlerManagerPath)})
    EXPECT_EQ(client_.call(kName, path, "org.freedesktop.DBus.Peer", "Ping"), "");
}

}  // namespace
}  // namespace bulkhead::supervisor
