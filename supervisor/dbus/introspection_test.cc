// The committed introspection files are what the live objects say, and the policy names what exists.
#include <gtest/gtest.h>

#include <fstream>
#include <set>
#include <sstream>

#include "supervisor/dbus/testing/bus_client.h"
#include "supervisor/dbus/testing/private_bus.h"
#include "supervisor/dbus/testing/service_fixture.h"

namespace bulkhead::supervisor {
namespace {

std::string file_text(const std::string& name) {
  std::ifstream file("dbus-policy/" + name);
  EXPECT_TRUE(file) << name;
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::string without_comments(std::string xml) {
  for (std::size_t begin; (begin = xml.find("<!--")) != std::string::npos;)
    xml.erase(begin, xml.find("-->", begin) + 3 - begin);
  return xml;
}

// From <interface name="NAME"> to its end.
std::string interface_of(const std::string& xml, const std::string& name) {
  std::string plain = without_comments(xml);
  std::size_t begin = plain.find(" <interface name=\"" + name + "\">");
  std::size_t end = plain.find("</interface>", begin);
  return begin == std::string::npos ? "" : plain.substr(begin, end - begin);
}

// The values of every `attribute` in `xml`.
std::set<std::string> values_of(const std::string& xml, const std::string& attribute) {
  std::set<std::string> values;
  std::string begin = attribute + "=\"";
  for (std::size_t at = xml.find(begin); at != std::string::npos; at = xml.find(begin, at)) {
    at += begin.size();
    values.insert(xml.substr(at, xml.find('"', at) - at));
  }
  return values;
}

class IntrospectionTest : public ::testing::Test {
 protected:
  IntrospectionTest() : bus_(BusPolicy::Installed), service_(bus_.address()), client_(bus_.address()) {
    service_.model.handler_list = two_handlers();
    service_.model.device_map[{"user_1", "d0"}] = busy_device("user_1", "d0");
    service_.start();
    EXPECT_TRUE(service_.wait_until_acquired());
  }
  std::string live(const std::string& path) { return client_.introspect(bus::kServiceName, path); }

  PrivateBus bus_;
  ServiceFixture service_;
  BusClient client_;
};

struct Described {
  const char* interface;
  const char* path;
};
constexpr Described kDescribed[] = {
    {bus::kLegacyInterface, "/org/kernel/TCMUService1/file"},
    {bus::kHandlerManagerInterface, bus::kHandlerManagerPath},
    {bus::kManagerInterface, bus::kDevicesRoot},
    {bus::kDeviceInterface, "/org/kernel/TCMUDevices1/user_1/d0"},
    {bus::kHandlerInterface, "/org/kernel/TCMUDevices1/handlers/file"},
};

TEST_F(IntrospectionTest, CommittedFilesAreTheLiveInterfaces) {
  for (const Described& one : kDescribed) {
    std::string committed = interface_of(file_text(std::string(one.interface) + ".xml"), one.interface);
    EXPECT_FALSE(committed.empty()) << one.interface;
    EXPECT_EQ(committed, interface_of(live(one.path), one.interface)) << one.interface;
  }
}

// Names that bindings generated from tcmu-runner's own XML rely on.
TEST_F(IntrospectionTest, ArgumentsAreNamedAsTheyAlwaysWere) {
  std::string handler = interface_of(live("/org/kernel/TCMUService1/file"), bus::kLegacyInterface);
  for (const char* argument :
       {"type=\"s\" name=\"configstr\" direction=\"in\"", "type=\"b\" name=\"is_valid\" direction=\"out\"",
        "type=\"s\" name=\"message\" direction=\"out\""})
    EXPECT_NE(handler.find(argument), std::string::npos) << argument;
  std::string manager = interface_of(live(bus::kHandlerManagerPath), bus::kHandlerManagerInterface);
  for (const char* argument :
       {"type=\"s\" name=\"subtype\" direction=\"in\"", "type=\"s\" name=\"cfgstr_desc\" direction=\"in\"",
        "type=\"b\" name=\"succeeded\" direction=\"out\"", "type=\"s\" name=\"message\" direction=\"out\""})
    EXPECT_NE(manager.find(argument), std::string::npos) << argument;
}

TEST_F(IntrospectionTest, NoUnknownObjectIsInTheTree) {
  std::string root = live("/org/kernel");
  EXPECT_NE(root.find("<node name=\"TCMUService1\"/>"), std::string::npos);
  EXPECT_NE(root.find("<node name=\"TCMUDevices1\"/>"), std::string::npos);
  std::string devices = live(bus::kDevicesRoot);
  EXPECT_NE(devices.find("<node name=\"user_1\"/>"), std::string::npos);
  EXPECT_NE(devices.find("<node name=\"handlers\"/>"), std::string::npos);
}

// Every interface and member that the policy speaks of exists; a renamed method would fall out of its rule
// unseen.
TEST_F(IntrospectionTest, PolicyNamesOnlyWhatExists) {
  std::string everything;
  for (const Described& one : kDescribed) everything += live(one.path);
  everything += live(bus::kLegacyRoot);
  std::string policy = without_comments(file_text("org.kernel.TCMUService1.conf"));
  std::set<std::string> interfaces = values_of(policy, "send_interface");
  std::set<std::string> members = values_of(policy, "send_member");
  EXPECT_EQ(values_of(policy, "send_destination"), std::set<std::string>{bus::kServiceName});
  EXPECT_GE(interfaces.size(), 5u);
  for (const std::string& name : interfaces)
    EXPECT_NE(everything.find("<interface name=\"" + name + "\">"), std::string::npos) << name;
  for (const std::string& name : members)
    EXPECT_NE(everything.find("<method name=\"" + name + "\">"), std::string::npos) << name;
}

TEST_F(IntrospectionTest, ThePolicyIsForTheNamesTheServiceOwns) {
  std::string policy = file_text("org.kernel.TCMUService1.conf");
  EXPECT_NE(policy.find("<allow own=\"" + std::string(bus::kServiceName) + "\"/>"), std::string::npos);
  EXPECT_NE(policy.find("<allow own_prefix=\"" + std::string(bus::kHandlerManagerInterface) + "\"/>"),
            std::string::npos);
  EXPECT_NE(
      file_text("org.kernel.TCMUService1.service").find("\nName=" + std::string(bus::kServiceName) + "\n"),
      std::string::npos);
}

}  // namespace
}  // namespace bulkhead::supervisor
