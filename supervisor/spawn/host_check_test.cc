// Real children, each with one wall missing; and texts that no kernel writes.
#include "supervisor/spawn/host_check.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <functional>
#include <iterator>
#include <string>

namespace bulkhead::supervisor {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr uid_t kHost = 54321;

struct Walls {
  bool user = true;
  bool group = true;
  bool no_groups = true;
  bool no_new_privileges = true;
  bool empty_bounding_set = true;
  bool saved_user = true;
  bool no_capabilities = true;
  bool own_names = false;
};

// As handler-host/lockdown builds them; what can fail does not in a child of root's.
void build(const Walls& walls) {
  if (walls.own_names) ::unshare(CLONE_NEWUTS);
  if (walls.empty_bounding_set)
    for (unsigned long capability = 0; capability <= CAP_LAST_CAP; ++capability)
      ::prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
  const gid_t group = 4;
  [[maybe_unused]] int done = walls.no_groups ? ::setgroups(0, nullptr) : ::setgroups(1, &group);
  if (walls.group) done = ::setresgid(kHost, kHost, kHost);
  if (!walls.no_capabilities) ::prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0);
  if (walls.user) done = ::setresuid(kHost, kHost, walls.saved_user ? kHost : 0);
  if (walls.no_new_privileges) ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

class Child {
 public:
  explicit Child(const Walls& walls) {
    int ends[2];
    EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    pid_ = ::fork();
    if (pid_ == 0) {
      build(walls);
      ::close(ends[1]);  // that it is ready
      ::pause();
      ::_exit(0);
    }
    ::close(ends[1]);
    char nothing = 0;
    EXPECT_EQ(::read(ends[0], &nothing, 1), 0);
    ::close(ends[0]);
    pidfd_ = UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)));
  }
  ~Child() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  void end() const {
    ::kill(pid_, SIGKILL);
    siginfo_t info{};
    ::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOWAIT);
  }
  void reap() const { ::waitpid(pid_, nullptr, 0); }
  [[nodiscard]] const UniqueFd& pidfd() const { return pidfd_; }
  [[nodiscard]] std::string complaint(const ExpectedHost& expected = {.uid = kHost, .cgroup = {}}) const {
    const auto good = check_host(pidfd_, expected);
    return good ? "" : good.error().what;
  }

 private:
  pid_t pid_ = -1;
  UniqueFd pidfd_;
};

class HostCheck : public ::testing::Test {
 protected:
  // tools/check counts a skip as a failure, and says that it wants root.
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "only root can become somebody else";
  }
};

TEST_F(HostCheck, AHostWithAllItsWallsIsGood) {
  EXPECT_EQ(Child({}).complaint(), "");
}
TEST_F(HostCheck, ARootHostIsNotTheUserItShouldBe) {
  EXPECT_THAT(Child({.user = false}).complaint(), AllOf(HasSubstr("Uid is"), HasSubstr("54321")));
}
TEST_F(HostCheck, AWayBackToRootCountsAsRoot) {
  EXPECT_THAT(Child({.saved_user = false}).complaint(), HasSubstr("Uid is '54321\t54321\t0\t54321'"));
}
TEST_F(HostCheck, AnotherGroupIsSeen) {
  EXPECT_THAT(Child({.group = false}).complaint(), HasSubstr("Gid is"));
}
TEST_F(HostCheck, SupplementaryGroupsAreSeen) {
  EXPECT_THAT(Child({.no_groups = false}).complaint(), HasSubstr("Groups is '4 '"));
}
TEST_F(HostCheck, AHostThatCouldGainPrivilegesIsSeen) {
  EXPECT_THAT(Child({.no_new_privileges = false}).complaint(), HasSubstr("NoNewPrivs is '0'"));
}
TEST_F(HostCheck, CapabilitiesThatAreLeftAreSeen) {
  EXPECT_THAT(Child({.empty_bounding_set = false, .no_capabilities = false}).complaint(),
              HasSubstr("CapPrm"));
  EXPECT_THAT(Child({.empty_bounding_set = false}).complaint(), HasSubstr("CapBnd"));
}
TEST_F(HostCheck, AnotherUsersHostIsNotThisDevices) {
  EXPECT_THAT(Child({}).complaint({.uid = kHost + 1, .cgroup = {}}), HasSubstr("should be '54322"));
}
TEST_F(HostCheck, AnotherControlGroupIsSeen) {
  EXPECT_THAT(Child({}).complaint({.uid = kHost, .cgroup = "/system.slice/none.service/host-uio7"}),
              HasSubstr("should be '/system.slice/none.service/host-uio7'"));
}
TEST_F(HostCheck, WhatTheKernelShowsOfAHostIsTold) {
  const Child child({});
  const auto seen = check_host(child.pidfd(), {.uid = kHost, .cgroup = {}});
  ASSERT_TRUE(seen) << seen.error().what;
  for (const char* wall : {"user", "capabilities", "no-new-privileges"}) EXPECT_TRUE(seen->at(wall)) << wall;
  // It is a fork of ours, in our namespaces and without a filter of its own.
  for (const char* wall : {"user-namespace", "pid-namespace", "mount-namespace", "ipc-namespace",
                           "uts-namespace", "cgroup-namespace", "network-namespace", "seccomp"})
    EXPECT_FALSE(seen->at(wall)) << wall;
}
TEST_F(HostCheck, ANamespaceOfItsOwnIsSeen) {
  const auto seen = check_host(Child({.own_names = true}).pidfd(), {.uid = kHost, .cgroup = {}});
  ASSERT_TRUE(seen) << seen.error().what;
  EXPECT_TRUE(seen->at("uts-namespace"));
  EXPECT_FALSE(seen->at("ipc-namespace"));
}
TEST_F(HostCheck, AHostThatHasEndedIsNoHostReapedOrNot) {
  const Child child({});
  child.end();
  EXPECT_EQ(check_host(child.pidfd(), {.uid = kHost, .cgroup = {}}).error().cause, Cause::NotFound);
  child.reap();
  EXPECT_EQ(check_host(child.pidfd(), {.uid = kHost, .cgroup = {}}).error().cause, Cause::NotFound);
}
TEST_F(HostCheck, WhatIsNoPidfdIsNoHost) {
  const UniqueFd null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  EXPECT_EQ(check_host(null, {}).error().cause, Cause::BadInput);
}

class HostText : public ::testing::Test {
 protected:
  HostText() {
    text.status =
        "Name:\ttcmu:file/d0\nUid:\t7\t7\t7\t7\nGid:\t7\t7\t7\t7\nGroups:\t \nNoNewPrivs:\t1\n"
        "CapInh:\t0000000000000000\nCapPrm:\t0000000000000000\nCapEff:\t0000000000000000\n"
        "CapBnd:\t0000000000000000\nCapAmb:\t0000000000000000\n";
    text.cgroup = "1:name=systemd:/elsewhere\n0::/system.slice/t.service/host-uio7\n";
    text.own_status = "Uid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\nCapEff:\t000001ffffffffff\n";
  }
  std::string complaint() {
    const auto good = judge_host(text, {.uid = 7, .cgroup = "/system.slice/t.service/host-uio7"});
    return good ? "" : good.error().what;
  }
  void replace(const std::string& from, const std::string& to) {
    text.status.replace(text.status.find(from), from.size(), to);
  }
  HostProcText text;
};

TEST_F(HostText, OfAGoodHostIsGood) {
  EXPECT_EQ(complaint(), "");
}
TEST_F(HostText, WithoutALineLacksThatWall) {
  for (const char* wall :
       {"Uid", "Gid", "Groups", "NoNewPrivs", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"}) {
    const std::string before = text.status;
    replace("\n" + std::string(wall) + ":", "\nother:");
    EXPECT_THAT(complaint(), HasSubstr(wall));
    text.status = before;
  }
  text.cgroup = "1:name=systemd:/elsewhere\n";
  EXPECT_THAT(complaint(), HasSubstr("control group is 'missing'"));
  text.status.clear();
  EXPECT_THAT(complaint(), HasSubstr("Uid is 'missing'"));
}
TEST_F(HostText, WithAMaskThatIsNoNumberLacksThatWall) {
  for (const char* mask : {"", "0000000000000000x", "-0", "00000000000000000000000000000000g"}) {
    const std::string before = text.status;
    replace("CapEff:\t0000000000000000", std::string("CapEff:\t") + mask);
    EXPECT_THAT(complaint(), HasSubstr("CapEff")) << mask;
    text.status = before;
  }
}
TEST_F(HostText, NameIsNotTakenForAWall) {
  replace("Name:\ttcmu:file/d0\nUid:\t7\t7\t7\t7", "Name:\tUid:\t7\t7\t7\t7\nUid:\t0\t0\t0\t0");
  EXPECT_THAT(complaint(), HasSubstr("Uid is '0"));
}
TEST_F(HostText, CutAnywhereIsJudgedAndNeverGood) {
  const std::string whole = text.status;
  for (std::size_t size = 0; size + 1 < whole.size(); ++size) {
    text.status = whole.substr(0, size);
    ASSERT_NE(complaint(), "") << text.status;
  }
}
TEST_F(HostText, AControlGroupThatIsGoneIsNotTheOne) {
  text.cgroup = "0::/system.slice/t.service/host-uio7 (deleted)\n";
  EXPECT_THAT(complaint(), HasSubstr("control group"));
}
// A supervisor in a container without CAP_SETPCAP: its hosts can't empty that set either.
TEST_F(HostText, ABoundingSetThatNobodyCouldEmptyIsNoFault) {
  replace("CapBnd:\t0000000000000000", "CapBnd:\t00000000a80425fb");
  EXPECT_THAT(complaint(), HasSubstr("CapBnd"));
  text.own_status = "CapEff:\t00000000a80424fb\n";  // without bit 8
  EXPECT_EQ(complaint(), "");
}
TEST_F(HostText, AFilterThatItHasFromUsIsNotItsOwn) {
  auto filtered = [this](const std::string& its, bool adopted = false) {
    return own_seccomp({.status = its, .cgroup = {}, .own_status = "Seccomp:\t2\nSeccomp_filters:\t3\n"},
                       {.uid = 7, .cgroup = {}, .adopted = adopted});
  };
  EXPECT_EQ(filtered("Seccomp:\t2\nSeccomp_filters:\t4\n"), true);
  EXPECT_EQ(filtered("Seccomp:\t2\nSeccomp_filters:\t3\n"), false);
  EXPECT_EQ(filtered("Seccomp:\t0\nSeccomp_filters:\t0\n"), false);
  EXPECT_EQ(filtered("Seccomp:\t1\nSeccomp_filters:\t9\n"), false);
  EXPECT_EQ(filtered(""), false);
  // The earlier supervisor may have had fewer than we have.
  EXPECT_EQ(filtered("Seccomp:\t2\nSeccomp_filters:\t3\n", true), std::nullopt);
  EXPECT_EQ(filtered("Seccomp:\t2\nSeccomp_filters:\t4\n", true), true);
  EXPECT_EQ(filtered("Seccomp:\t0\n", true), false);
}
TEST_F(HostText, AHostThatStaysWhatWeAreIsWhatWeAre) {
  replace("Uid:\t7\t7\t7\t7\nGid:\t7\t7\t7\t7", "Uid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0");
  EXPECT_TRUE(judge_host(text, {}));
  text.own_status = "Uid:\t5\t5\t5\t5\nGid:\t0\t0\t0\t0\n";
  EXPECT_FALSE(judge_host(text, {}));
}

}  // namespace
}  // namespace bulkhead::supervisor
