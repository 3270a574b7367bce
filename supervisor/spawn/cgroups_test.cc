#include "supervisor/spawn/cgroups.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace bulkhead::supervisor {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::StartsWith;

// A folder in the place of the kernel's: its files keep what is written to them.
class CgroupsTest : public testing::Test {
 protected:
  CgroupsTest() {
    fs::remove_all(folder_);
    fs::create_directories(leaf_);
    put(folder_ / "cgroup.subtree_control", "");
  }
  static void put(const fs::path& path, const std::string& text) { std::ofstream(path) << text; }
  std::string leaf_file(const std::string& name) {
    std::ifstream file(leaf_ / name);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  void put_limit_files() {
    for (const char* file : {"memory.max", "memory.swap.max", "memory.oom.group", "pids.max", "cpu.weight",
                             "io.weight", "cpuset.cpus", "cpuset.mems"})
      put(leaf_ / file, "");
  }
  const fs::path folder_ = fs::path(testing::TempDir()) / "tcmu-hosts.service";
  const fs::path leaf_ = folder_ / "host-uio7";
  const Cgroups cgroups_{folder_.string()};
  const HostLimits limits_{.memory_bytes = 64 << 20, .processes = 20, .cpu_weight = 30, .io_weight = 40};
};

TEST_F(CgroupsTest, LimitsAreWrittenAndTold) {
  put_limit_files();
  const auto leaf = cgroups_.make_leaf("uio7", limits_);
  ASSERT_TRUE(leaf) << leaf.error().what;
  EXPECT_TRUE(leaf->fd);
  EXPECT_EQ(leaf->walls, (Walls{{"memory-limit", "on: 64 MiB"},
                                {"process-limit", "on: 20"},
                                {"cpu-weight", "on: 30"},
                                {"io-weight", "on: 40"}}));
  EXPECT_EQ(leaf_file("memory.max"), "67108864");
  EXPECT_EQ(leaf_file("memory.swap.max"), "0");
  EXPECT_EQ(leaf_file("memory.oom.group"), "1");
  EXPECT_EQ(leaf_file("pids.max"), "20");
}

TEST_F(CgroupsTest, WithoutLimitsNoneIsAskedFor) {
  put_limit_files();
  const Walls walls = cgroups_.limit("uio7", {});
  EXPECT_EQ(walls.at("memory-limit"), "not asked");
  EXPECT_EQ(walls.at("process-limit"), "not asked");
  EXPECT_EQ(leaf_file("memory.max"), "max");
  EXPECT_EQ(leaf_file("memory.swap.max"), "max");
  EXPECT_EQ(leaf_file("pids.max"), "max");
}

TEST_F(CgroupsTest, APlaceIsToldWhereItIsAskedFor) {
  put_limit_files();
  const Walls walls = cgroups_.limit("uio7", {.cpus = "0-1", .memory_nodes = ""});
  EXPECT_EQ(walls.at("cpus"), "on: 0-1");
  EXPECT_FALSE(walls.contains("memory-nodes"));
  EXPECT_EQ(leaf_file("cpuset.cpus"), "0-1\n");
  EXPECT_EQ(leaf_file("cpuset.mems"), "\n") << "what an earlier host was told holds no more";
}

TEST_F(CgroupsTest, AControllerThatIsNotThereIsMissingAndCostsNothingElse) {
  put(leaf_ / "pids.max", "");
  const Walls walls = cgroups_.limit("uio7", limits_);
  EXPECT_THAT(walls.at("memory-limit"), StartsWith("missing: "));
  EXPECT_THAT(walls.at("io-weight"), StartsWith("missing: "));
  EXPECT_EQ(walls.at("process-limit"), "on: 20");
}

TEST_F(CgroupsTest, ALimitThatIsRefusedIsNotTold) {
  fs::create_directory(leaf_ / "memory.max");
  EXPECT_THAT(cgroups_.limit("uio7", limits_).at("memory-limit"),
              AllOf(StartsWith("off: "), HasSubstr("memory.max")));
}

TEST_F(CgroupsTest, DeathForLackOfMemoryIsToldWithTheLimit) {
  EXPECT_EQ(cgroups_.out_of_memory("uio7"), "") << "nothing is known";
  put(leaf_ / "memory.max", "67108864\n");
  put(leaf_ / "memory.events", "low 0\nhigh 0\nmax 12\noom 1\noom_kill 0\noom_group_kill 0\n");
  EXPECT_EQ(cgroups_.out_of_memory("uio7"), "") << "nothing was killed";
  put(leaf_ / "memory.events", "low 0\nhigh 0\nmax 12\noom 1\noom_kill 2\noom_group_kill 1\n");
  EXPECT_EQ(cgroups_.out_of_memory("uio7"),
            "killed for lack of memory (memory.max 64M of its control group)");
  put(leaf_ / "memory.max", "4096\n");
  EXPECT_THAT(cgroups_.out_of_memory("uio7"), HasSubstr("memory.max 4096 of"));
  put(leaf_ / "memory.events", "low 0\nhigh 0\nmax 0\noom 0\noom_kill 1\n");
  EXPECT_EQ(cgroups_.out_of_memory("uio7"), "killed for lack of memory (the whole machine's)");
}

TEST_F(CgroupsTest, ALeafIsMadeAnewForEachHostAndRemovedWithTheLast) {
  const auto before = fs::last_write_time(leaf_);
  fs::last_write_time(leaf_, before - std::chrono::hours(1));
  ASSERT_TRUE(cgroups_.make_leaf("uio7", limits_));
  EXPECT_GE(fs::last_write_time(leaf_), before) << "the earlier one's counts are still there";
  cgroups_.remove_leaf("uio7");
  EXPECT_FALSE(fs::exists(leaf_));
}

TEST_F(CgroupsTest, AGroupThatIsGoneIsNamedWithTheRemedy) {
  fs::remove_all(folder_);
  const auto leaf = cgroups_.make_leaf("uio7", limits_);
  ASSERT_FALSE(leaf);
  EXPECT_THAT(leaf.error().what, HasSubstr("systemctl restart tcmu-hosts"));
}

TEST(Cgroups, WithoutAGroupThereAreNoLeavesAndNoLimits) {
  const Cgroups none{std::string()};
  const auto leaf = none.make_leaf("uio7", {.memory_bytes = 1 << 20});
  ASSERT_TRUE(leaf);
  EXPECT_FALSE(leaf->fd);
  EXPECT_THAT(leaf->walls.at("memory-limit"), StartsWith("missing: "));
  EXPECT_EQ(none.leaf_in_proc("uio7"), "");
  EXPECT_EQ(none.out_of_memory("uio7"), "");
}

}  // namespace
}  // namespace bulkhead::supervisor
