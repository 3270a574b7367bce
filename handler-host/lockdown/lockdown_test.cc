#include "handler-host/lockdown/lockdown.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <grp.h>
#include <linux/capability.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>

#include "base/unique_fd.h"
#include "handler-host/lockdown/child_for_tests.h"

namespace bulkhead::host {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr uid_t kSomebody = 54321;

// What a locked-down child sees of itself; it has no way back, so it is a child.
template <class Look>
std::string in_locked_down_child(const LockdownPlan& plan, Look look) {
  return in_child([&] {
           LockdownPlan open = plan;
           open.filters = false;  // what is looked at takes calls that no host makes
           auto locked = lock_down(open);
           return locked ? look() : "lock-down failed: " + locked.error().what;
         })
      .said;
}

// /proc is out of reach then, but for what is open already.
std::string status_in_locked_down_child(LockdownPlan plan) {
  return in_child([&] {
           UniqueFd file(::open("/proc/self/status", O_RDONLY));
           plan.first_unwanted_fd = file.get() + 1;
           auto locked = lock_down(plan);
           if (!locked) return "lock-down failed: " + locked.error().what;
           std::string text(8192, '\0');
           const ssize_t got = ::pread(file.get(), text.data(), text.size(), 0);
           text.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
           return text;
         })
      .said;
}

std::string own_status() {
  std::ifstream file("/proc/self/status");
  return {std::istreambuf_iterator<char>(file), {}};
}

bool is_root() {
  return ::geteuid() == 0;
}

TEST(LockDown, BecomesTheUserWithoutGroupsOrCapabilities) {
  if (!is_root()) GTEST_SKIP() << "only root can become somebody else";
  const gid_t groups[] = {4, 24};
  ASSERT_EQ(::setgroups(2, groups), 0);
  const std::string status =
      status_in_locked_down_child({.uid = kSomebody, .visible_name = "tcmu-host: file/d0"});
  ::setgroups(0, nullptr);
  EXPECT_THAT(status, AllOf(HasSubstr("Uid:\t54321\t54321\t54321\t54321\n"),
                            HasSubstr("Gid:\t54321\t54321\t54321\t54321\n"), HasSubstr("Groups:\t \n")));
  for (const char* set : {"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"})
    EXPECT_THAT(status, HasSubstr(std::string(set) + ":\t0000000000000000\n"));
  EXPECT_THAT(status, HasSubstr("NoNewPrivs:\t1\n"));
}

TEST(LockDown, RootThatStaysRootHasNoCapabilitiesEither) {
  if (!is_root()) GTEST_SKIP() << "only root has capabilities to lose";
  const std::string status = status_in_locked_down_child({.uid = {}, .visible_name = "x"});
  for (const char* set : {"CapPrm", "CapEff", "CapBnd", "CapAmb"})
    EXPECT_THAT(status, HasSubstr(std::string(set) + ":\t0000000000000000\n"));
}

TEST(LockDown, CantGoBack) {
  const std::string seen = in_locked_down_child(
      {.uid = is_root() ? std::optional(kSomebody) : std::nullopt, .visible_name = "x"}, [] {
        return fmt::format("root again: {}, more files: {}", is_root() || ::setresuid(0, 0, 0) == 0, [] {
          const rlimit more{1000, 1000};
          return ::setrlimit(RLIMIT_NOFILE, &more) == 0;
        }());
      });
  EXPECT_EQ(seen, "root again: false, more files: false");
}

TEST(LockDown, SomebodyElseCantBecomeAnother) {
  if (!is_root()) GTEST_SKIP() << "needs a user that is not root, so root to start with";
  const pid_t child = ::fork();
  if (child == 0) {
    if (::setresuid(kSomebody, kSomebody, kSomebody) != 0) ::_exit(9);
    auto locked = lock_down({.uid = kSomebody + 1, .visible_name = "x"});
    ::_exit(!locked && locked.error().what.find("supplementary groups") != std::string::npos ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

TEST(LockDown, LeavesDescriptorsZeroToThreeAlone) {
  const int inherited = ::open("/dev/null", O_RDONLY);  // not close-on-exec: a mistake of whoever started us
  const int high = ::fcntl(inherited, F_DUPFD, 200);
  ASSERT_GE(high, 200);
  const std::string seen = in_locked_down_child({.uid = {}, .visible_name = "x"}, [=] {
    std::string open;
    for (int fd = 0; fd < 1024; ++fd)
      if (::fcntl(fd, F_GETFD) >= 0) open += fmt::format("{} ", fd);
    return open;
  });
  ::close(inherited);
  ::close(high);
  EXPECT_EQ(seen, "0 1 2 3 ");
}

TEST(LockDown, ClearsEnvironmentLimitsMaskAndDumps) {
  ::setenv("SECRET", "x", 1);
  const std::string seen = in_locked_down_child({.uid = {}, .visible_name = "tcmu-host: file/d0"}, [] {
    rlimit core{}, files{};
    ::getrlimit(RLIMIT_CORE, &core);
    ::getrlimit(RLIMIT_NOFILE, &files);
    std::array<char, 16> name{};
    ::prctl(PR_GET_NAME, name.data());
    return fmt::format("environment {}, core {}, files {}, umask {:o}, dumpable {}, name {}",
                       environ == nullptr || *environ == nullptr ? "empty" : "full", core.rlim_max,
                       files.rlim_max, ::umask(0), ::prctl(PR_GET_DUMPABLE), name.data());
  });
  ::unsetenv("SECRET");
  EXPECT_EQ(seen, "environment empty, core 0, files 64, umask 77, dumpable 0, name tcmu:file/d0");
}

// A mapping that counts against a limited allowance would fail: the channel's 16 MiB, for a start.
TEST(LockDown, LocksItsMemoryWithAnUnlimitedAllowanceAlone) {
  const std::string seen = in_locked_down_child({.uid = {}, .visible_name = "x"}, [] {
    const std::string status = own_status();
    const bool locked = std::strtoul(status.c_str() + status.find("VmLck:") + 6, nullptr, 10) > 0;
    rlimit allowance{};
    ::getrlimit(RLIMIT_MEMLOCK, &allowance);
    const void* large = ::mmap(nullptr, 64 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return fmt::format("{}, mapping {}", locked == (allowance.rlim_cur == RLIM_INFINITY) ? "right" : "wrong",
                       large == MAP_FAILED ? "fails" : "works");
  });
  EXPECT_EQ(seen, "right, mapping works");
}

TEST(LockDown, IsAnIoFlusherIfItMay) {
  // The flags of /proc/PID/stat (include/linux/sched.h): PF_MEMALLOC_NOIO and PF_LOCAL_THROTTLE.
  constexpr unsigned long kFlusher = 0x00080000 | 0x00100000;
  const std::string status = own_status();
  const auto effective = std::strtoull(status.c_str() + status.find("CapEff:") + 7, nullptr, 16);
  const bool may = (effective >> CAP_SYS_RESOURCE & 1) != 0;
  const std::string seen = in_locked_down_child({.uid = {}, .visible_name = "x"}, [] {
    std::ifstream file("/proc/self/stat");
    const std::string stat{std::istreambuf_iterator<char>(file), {}};
    std::istringstream rest(stat.substr(stat.rfind(')') + 1));
    std::string state;
    long parent = 0, group = 0, session = 0, tty = 0, tty_group = 0;
    unsigned long flags = 0;
    rest >> state >> parent >> group >> session >> tty >> tty_group >> flags;
    return fmt::format("{}", (flags & kFlusher) == kFlusher);
  });
  EXPECT_EQ(seen, may ? "true" : "false");
}

TEST(CommandName, IsWhatFitsIntoFifteenBytes) {
  EXPECT_EQ(command_name("tcmu-host: file/d0"), "tcmu:file/d0");
  EXPECT_EQ(command_name("tcmu-host: file/database-01"), "tcmu:atabase-01");
  EXPECT_EQ(command_name("/usr/bin/x"), "tcmu:x");
  EXPECT_EQ(command_name(""), "tcmu:");
}

}  // namespace
}  // namespace bulkhead::host
