#include "tcmuctl/audit.h"

#include <gtest/gtest.h>

namespace bulkhead::tcmuctl {
namespace {

Device device(const std::string& name, std::map<std::string, std::string> walls, std::uint32_t pid = 42) {
  Device one;
  one.key = "user_1/" + name;
  one.host_pid = pid;
  one.sandbox = std::move(walls);
  return one;
}

TEST(Audit, IsOneTableWithTheReasonsBelow) {
  const std::vector<Device> devices{
      device("good",
             {{"seccomp", "on"}, {"memory-limit", "on: 1024 MiB"}, {"network-namespace", "not asked"}}),
      device("bad", {{"seccomp", "off"}, {"landlock", "missing: old kernel"}, {"from-the-future", "on"}}),
      device("away", {}, 0)};
  EXPECT_EQ(audit_view(devices, {}),
            "DEVICE       HOST  NETNS  LANDLOCK  SECCOMP  MEMORY  FROM-THE-FUTURE\n"
            "user_1/good    42  -      ?         on       on      ?\n"
            "user_1/bad     42  ?      missing   OFF      ?       on\n"
            "user_1/away     -  -      -         -        -       -\n"
            "user_1/bad: landlock: missing: old kernel\n"
            "user_1/bad: seccomp: off\n");
}

TEST(Audit, ColoursWhatStandsAndWhatDoesNot) {
  const std::string text =
      audit_view({device("d", {{"root", "on"}, {"seccomp", "off"}})}, {.width = 0, .colors = Colors::On});
  EXPECT_NE(text.find("\033[32mon"), std::string::npos) << text;
  EXPECT_NE(text.find("\033[31mOFF"), std::string::npos) << text;
}

TEST(Audit, OnlyAWallThatShouldStandIsLacked) {
  EXPECT_FALSE(
      lacks_walls(device("d", {{"a", "on"}, {"b", "on: 5"}, {"c", "not asked"}, {"d", "missing: x"}})));
  for (const char* state : {"off", "off: write pids.max: EIO", "", "only", "On"})
    EXPECT_TRUE(lacks_walls(device("d", {{"a", state}, {"b", "on"}}))) << state;
  EXPECT_TRUE(lacks_walls(device("d", {}))) << "a supervisor that tells none";
  EXPECT_FALSE(lacks_walls(device("d", {{"a", "off"}}, 0))) << "without a host there is nothing to lack";
}

TEST(Audit, TellsProgramsTheSame) {
  EXPECT_EQ(audit_json({device("d", {{"seccomp", "off"}})}).dump(),
            R"([{"HostPid":42,"Sandbox":{"seccomp":"off"},"device":"user_1/d","lacks_walls":true}])");
}

}  // namespace
}  // namespace bulkhead::tcmuctl
