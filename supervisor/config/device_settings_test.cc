#include "supervisor/config/device_settings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bulkhead::supervisor {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

DevicePolicies read(std::string_view text) {
  DevicePolicies policies;
  for (const ConfigEntry& entry : parse_config(text).entries) EXPECT_EQ(policies.take(entry), "");
  return policies;
}
std::string complaint(std::string_view line) {
  DevicePolicies policies;
  const std::string text = policies.take(parse_config(line).entries.at(0));
  return text;
}

TEST(DevicePolicies, NothingSaidIsNothing) {
  EXPECT_EQ(DevicePolicies().of("user_0/a"), DeviceSettings());
}

TEST(DevicePolicies, WhatIsSaidOfAllCountsUnlessTheDevicesSectionSaysOtherwise) {
  const auto policies = read(
      "hang_kill_seconds = 20\non_failure = error\n[user_1/slow]\nhang_kill_seconds = 200\nhang_dump = on\n"
      "[user_2/slow]\non_failure = hold\n");
  EXPECT_EQ(policies.of("user_0/other"), (DeviceSettings{.hang_kill = 20s, .on_failure = OnFailure::Error}));
  EXPECT_EQ(policies.of("user_1/slow"),
            (DeviceSettings{.hang_kill = 200s, .hang_dump = true, .on_failure = OnFailure::Error}));
  EXPECT_EQ(policies.of("user_2/slow"), (DeviceSettings{.hang_kill = 20s, .on_failure = OnFailure::Hold}));
}

TEST(DevicePolicies, ASectionMayComeTwiceAndTheLaterLineWins) {
  const auto policies = read(
      "[user_1/a]\nhang_warn_seconds = 1\n[user_1/b]\n[user_1/a]\nhang_warn_seconds = 2\nhang_kill_seconds = "
      "9\n");
  EXPECT_EQ(policies.of("user_1/a"), (DeviceSettings{.hang_warn = 2s, .hang_kill = 9s}));
  EXPECT_EQ(policies.of("user_1/b"), DeviceSettings());
}

TEST(DevicePolicies, FoldersOfFilesAndWhatIsNoneOpensNothing) {
  EXPECT_EQ(DevicePolicies().of("user_0/a").file_policy().roots, std::nullopt);
  const auto policies = read(
      "file_roots = \"/srv/:/var//lib/images\"\nfile_symlinks = refuse\n[user_1/open]\nfile_roots = /\n"
      "[user_1/none]\nfile_roots = ''\n");
  EXPECT_THAT(*policies.of("user_0/a").file_policy().roots, ElementsAre("/srv", "/var/lib/images"));
  EXPECT_EQ(policies.of("user_0/a").file_policy().symlinks, Symlinks::Refuse);
  EXPECT_THAT(*policies.of("user_1/open").file_policy().roots, ElementsAre("/"));
  EXPECT_THAT(*policies.of("user_1/none").file_policy().roots, IsEmpty());

  DevicePolicies mistaken;
  EXPECT_THAT(mistaken.take(parse_config("file_roots = srv:/a").entries.at(0)),
              HasSubstr("wants absolute paths, separated by colons, not \"srv\""));
  EXPECT_THAT(*mistaken.of("").file_roots, ElementsAre("/a"));
  EXPECT_THAT(complaint("file_symlinks = beneath"), HasSubstr("wants follow or refuse, not \"beneath\""));
}

TEST(DevicePolicies, BadValuesAreTold) {
  EXPECT_THAT(complaint("hang_warn_seconds = soon"), HasSubstr("wants a number of seconds, not \"soon\""));
  EXPECT_THAT(complaint("hang_warn_seconds = 7s"), HasSubstr("not \"7s\": ignored"));
  EXPECT_THAT(complaint("hang_kill_seconds = -1"), HasSubstr("not within 0 to 86400: 0 is used"));
  EXPECT_THAT(complaint("hang_kill_seconds = 86401"), HasSubstr("86400 is used"));
  EXPECT_THAT(complaint("hang_dump = yes"), HasSubstr("wants on or off"));
  EXPECT_THAT(complaint("on_failure = busy"), HasSubstr("wants hold or error, not \"busy\""));
  EXPECT_THAT(complaint("on_failure"), HasSubstr("without a value"));
}

TEST(DevicePolicies, LimitsOfHosts) {
  const auto policies = read(
      "host_memory_mebibytes = 256\nhost_processes = 0\nhost_cpu_weight = 50\nrequired_walls = \"seccomp, "
      "root\"\n"
      "[user_1/a]\nhost_memory_mebibytes = 0\nhost_io_weight = 10000\nrequired_walls = \"\"\n");
  EXPECT_EQ(policies.of("user_0/x"),
            (DeviceSettings{.memory_mebibytes = 256,
                            .processes = 0,
                            .cpu_weight = 50,
                            .required_walls = std::vector<std::string>{"seccomp", "root"}}));
  EXPECT_EQ(policies.of("user_1/a"), (DeviceSettings{.memory_mebibytes = 0,
                                                     .processes = 0,
                                                     .cpu_weight = 50,
                                                     .io_weight = 10000,
                                                     .required_walls = std::vector<std::string>{}}));
  EXPECT_THAT(complaint("host_memory_mebibytes = 1"), HasSubstr("not within 32 to 1073741824: 32 is used"));
  EXPECT_THAT(complaint("host_processes = 1G"), HasSubstr("wants a number, not \"1G\""));
  EXPECT_THAT(complaint("host_cpu_weight = 0"), HasSubstr("1 is used"));
  EXPECT_THAT(complaint("host_io_weight = 10001"), HasSubstr("10000 is used"));
  for (const char* bad : {"required_walls = Seccomp", "required_walls = \"a;b\""})
    EXPECT_THAT(complaint(bad), HasSubstr("wants names of walls")) << bad;
  EXPECT_THAT(complaint("required_walls = \"seccomp,,root\""), HasSubstr("a comma too many"));
  DevicePolicies mistaken;
  EXPECT_FALSE(mistaken.take(parse_config("required_walls = \"seccomp landlock\"").entries.at(0)).empty());
  EXPECT_THAT(*mistaken.of("").required_walls, ElementsAre("seccomp landlock")) << "which no host has";
}

TEST(DevicePolicies, WhereHostsRun) {
  const auto policies = read("host_cpus = 0-3,8\n[user_1/a]\nhost_cpus = \"\"\nhost_memory_nodes = 1\n");
  EXPECT_EQ(policies.of("user_0/x"), (DeviceSettings{.host_cpus = "0-3,8"}));
  EXPECT_EQ(policies.of("user_1/a"), (DeviceSettings{.host_cpus = "", .host_memory_nodes = "1"}));
  EXPECT_THAT(complaint("host_cpus = all"), HasSubstr("wants numbers and ranges like 0-3,8, not \"all\""));
}

TEST(DevicePolicies, HowLongAHostMayTakeToOpenAndClose) {
  const auto policies = read("open_seconds = 30\n[user_1/a]\nopen_seconds = 300\nclose_seconds = 60\n");
  EXPECT_EQ(policies.of("user_0/x"), (DeviceSettings{.open_limit = 30s}));
  EXPECT_EQ(policies.of("user_1/a"), (DeviceSettings{.open_limit = 300s, .close_limit = 60s}));
  EXPECT_THAT(complaint("open_seconds = 0"), HasSubstr("not within 1 to 600: 1 is used"));
  EXPECT_THAT(complaint("close_seconds = 601"), HasSubstr("600 is used"));
}

TEST(DevicePolicies, HowLongToLookForCommandsBeforeASleep) {
  const auto policies = read("busy_poll_usec = 50\n[user_1/a]\nbusy_poll_usec = 0\n");
  EXPECT_EQ(policies.of("user_0/x").busy_poll_usec, 50u);
  EXPECT_EQ(policies.of("user_1/a").busy_poll_usec, 0u);
  EXPECT_THAT(complaint("busy_poll_usec = 20000"), HasSubstr("10000 is used"));
}

TEST(DevicePolicies, HowFastADeviceMayBe) {
  const auto policies = read(
      "limit_iops = 100\nlimit_burst_seconds = 5\n[user_1/a]\nlimit_iops = 0\n"
      "limit_bytes_per_second = 10000000000\n");
  EXPECT_EQ(policies.of("user_0/x"), (DeviceSettings{.limit_iops = 100, .limit_burst = 5s}));
  EXPECT_EQ(policies.of("user_1/a"),
            (DeviceSettings{.limit_iops = 0, .limit_bytes_per_second = 10'000'000'000, .limit_burst = 5s}));
  EXPECT_THAT(complaint("limit_iops = 1k"), HasSubstr("wants a number, not \"1k\""));
  EXPECT_THAT(complaint("limit_iops = -1"), HasSubstr("0 is used"));
  EXPECT_THAT(complaint("limit_bytes_per_second = 1000000000001"), HasSubstr("1000000000000 is used"));
  EXPECT_THAT(complaint("limit_burst_seconds = 3601"), HasSubstr("3600 is used"));
}

TEST(DevicePolicies, NamesOfDevices) {
  for (const char* good : {"user_0/d0", "user_12/with blank", "user_1/a]b", "user_1/a.b-c"})
    EXPECT_TRUE(DevicePolicies::names_device(good)) << good;
  for (const char* bad : {"", "d0", "user_0", "user_0/", "user_/d0", "user_x/d0", "file_0/d0", "user_0/a/b"})
    EXPECT_FALSE(DevicePolicies::names_device(bad)) << bad;
}

TEST(DevicePolicies, AWarningThatCannotComeBeforeTheKillIsDoubted) {
  EXPECT_THAT(read("hang_warn_seconds = 5\nhang_kill_seconds = 6").doubts(), IsEmpty());
  EXPECT_THAT(read("hang_warn_seconds = 5\nhang_kill_seconds = 0").doubts(), IsEmpty());
  EXPECT_THAT(read("hang_warn_seconds = 9\n[user_1/a]\nhang_kill_seconds = 9").doubts(),
              ElementsAre(HasSubstr("[user_1/a]: hang_warn_seconds is 9 and hang_kill_seconds 9")));
}

}  // namespace
}  // namespace bulkhead::supervisor
