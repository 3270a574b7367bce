// What a host in its namespaces and its empty root can reach, and what the same attempt reaches without them.
#include "handler-host/lockdown/namespaces.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <ifaddrs.h>
#include <sys/ipc.h>
#include <sys/mount.h>
#include <sys/shm.h>
#include <sys/stat.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <string>

#include "handler-host/lockdown/child_for_tests.h"
#include "handler-host/lockdown/lockdown.h"

namespace bulkhead::host {
namespace {

using ::testing::HasSubstr;

constexpr uid_t kSomebody = 54321;

std::string opened(const std::string& path, int flags = O_RDONLY) {
  const int fd = ::open(path.c_str(), flags | O_CLOEXEC);
  return fd >= 0 ? "opened" : errno_text(errno);
}

std::string did(long result) {
  return result >= 0 ? "done" : errno_text(errno);
}

class ClosedIn : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "only root can close itself in";
    std::string pattern = "/tmp/closed-in-XXXXXX";
    folder = ::mkdtemp(pattern.data());
    ::chmod(folder.c_str(), 0755);
    std::ofstream(folder + "/library") << "x";
  }
  void TearDown() override {
    if (!folder.empty()) std::filesystem::remove_all(folder);
  }
  template <class Act>
  std::string try_it(LockdownPlan plan, Act act, int flags = CLONE_NEWPID) {
    return in_child(
               [&] {
                 auto walls = lock_down(plan);
                 return walls ? act(*walls) : "lock-down failed: " + walls.error().what;
               },
               flags)
        .said;
  }
  LockdownPlan plan() {
    return {.uid = kSomebody, .visible_name = "x", .readable = {folder}, .filters = false};
  }
  std::string folder;
};

TEST_F(ClosedIn, AllWallsOfNamespacesStand) {
  const std::string states = try_it(plan(), [](const Walls& walls) {
    std::string all;
    for (const Wall& wall : walls.all()) all += fmt::format("{} {}\n", wall.name, wall.state);
    return all;
  });
  for (const char* wall : {"user", "capabilities", "user-namespace", "pid-namespace", "mount-namespace",
                           "ipc-namespace", "uts-namespace", "cgroup-namespace", "network-namespace", "root",
                           "no-new-privileges", "dumpable", "limits"})
    EXPECT_THAT(states, HasSubstr(std::string(wall) + " on\n"));
}

TEST_F(ClosedIn, SeesLibrariesAndWhatItIsToldAlone) {
  const auto look = [this](const Walls&) {
    return fmt::format("passwd {}, proc {}, device {}, home {}, handler {}, library {}",
                       opened("/etc/passwd"), opened("/proc/self/status"), opened("/dev/null"),
                       opened("/root"), opened(folder + "/library"),
                       opened("/lib/x86_64-linux-gnu/libc.so.6"));
  };
  EXPECT_EQ(
      try_it(plan(), look),
      "passwd No such file or directory, proc No such file or directory, device No such file or directory, "
      "home No such file or directory, handler opened, library opened");
  LockdownPlan open = plan();
  open.uid.reset();
  EXPECT_THAT(try_it(open, look), HasSubstr("passwd opened"));
}

TEST_F(ClosedIn, FindsALibraryBehindALink) {
  std::filesystem::create_directory_symlink(folder, folder + "-link");
  LockdownPlan linked = plan();
  linked.readable = {folder + "-link"};
  const std::string seen = try_it(linked, [this](const Walls&) {
    return opened(folder + "-link/library") + ", " + opened(folder + "/library");
  });
  std::filesystem::remove(folder + "-link");
  EXPECT_EQ(seen, "opened, opened");
}

TEST_F(ClosedIn, TakesAFileThatItIsToldAlong) {
  LockdownPlan with_file = plan();
  with_file.readable = {"/etc/hosts", "/nonexistent"};
  EXPECT_EQ(
      try_it(with_file, [](const Walls&) { return opened("/etc/hosts") + ", " + opened("/etc/passwd"); }),
      "opened, No such file or directory");
}

TEST_F(ClosedIn, CantWriteAnywhere) {
  ::chmod(folder.c_str(), 0777);
  EXPECT_EQ(try_it(plan(),
                   [this](const Walls&) {
                     return fmt::format("{}, {}, {}", did(::mkdir("/new", 0700)),
                                        did(::mkdir((folder + "/new").c_str(), 0700)),
                                        did(::mkdir("/etc/x", 0700)));
                   }),
            "Read-only file system, Read-only file system, Read-only file system");
}

TEST_F(ClosedIn, CantReachTheOldRoot) {
  EXPECT_EQ(
      try_it(plan(),
             [](const Walls&) {
               return fmt::format("{}, {}, {}, {}", opened("/../../../etc/passwd"), did(::chroot("/usr")),
                                  did(::mount("x", "/usr", "tmpfs", 0, nullptr)),
                                  did(::umount2("/usr/lib", MNT_DETACH)));
             }),
      "No such file or directory, Operation not permitted, Operation not permitted, Operation not permitted");
}

TEST_F(ClosedIn, CantMakeNamespacesToBeRootIn) {
  const auto attempt = [](const Walls&) { return did(::unshare(CLONE_NEWNS)); };
  EXPECT_EQ(try_it(plan(), attempt), "Operation not permitted");
}

TEST_F(ClosedIn, SeesNoOtherProcess) {
  const pid_t sibling = ::fork();
  if (sibling == 0) {
    if (::setresuid(kSomebody, kSomebody, kSomebody) != 0) ::_exit(1);  // one whom our user could signal
    ::pause();
    ::_exit(0);
  }
  const auto attempt = [sibling](const Walls&) {
    return did(::kill(sibling, 0)) + ", " + did(::kill(-1, 0));
  };
  EXPECT_EQ(try_it(plan(), attempt), "No such process, No such process");
  ::kill(sibling, SIGKILL);
  ::waitpid(sibling, nullptr, 0);
}

TEST_F(ClosedIn, HasNoNetworkUnlessAskedFor) {
  const auto attempt = [](const Walls& walls) {
    ifaddrs* all = nullptr;
    int up = 0;
    if (::getifaddrs(&all) == 0)
      for (const ifaddrs* one = all; one != nullptr; one = one->ifa_next) up += one->ifa_addr != nullptr;
    return fmt::format("{}, {}", walls.state("network-namespace"), up > 1 ? "interfaces" : "none");
  };
  EXPECT_EQ(try_it(plan(), attempt), "on, none");
  LockdownPlan asks = plan();
  asks.needs.network = true;
  EXPECT_EQ(try_it(asks, attempt), "not asked, interfaces");
}

TEST_F(ClosedIn, SeesNoSharedMemoryOfOthers) {
  const int segment = ::shmget(IPC_PRIVATE, 4096, 0666);
  ASSERT_GE(segment, 0);
  const auto attach = [segment](const Walls&) -> std::string {
    return ::shmat(segment, nullptr, SHM_RDONLY) == reinterpret_cast<void*>(-1) ? "refused" : "attached";
  };
  EXPECT_EQ(try_it(plan(), attach), "refused");
  LockdownPlan open = plan();
  open.uid.reset();
  EXPECT_EQ(try_it(open, attach), "attached");
  ::shmctl(segment, IPC_RMID, nullptr);
}

TEST_F(ClosedIn, TellsWhatIsMissingAndGoesOnUnlessItIsRequired) {
  const auto state = [](const Walls& walls) { return std::string(walls.state("pid-namespace")); };
  EXPECT_EQ(try_it(plan(), state, 0), "missing: the host was started without one");
  LockdownPlan strict = plan();
  strict.required = {"root", "pid-namespace"};
  EXPECT_EQ(
      try_it(strict, state, 0),
      "lock-down failed: wall pid-namespace is required, and is missing: the host was started without one");
  EXPECT_EQ(try_it(strict, state), "on");
  strict.required = {"moat"};
  EXPECT_THAT(try_it(strict, state), HasSubstr("wall moat is required, and is unknown"));
}

}  // namespace
}  // namespace bulkhead::host
