// Signals, sent from outside as an operator would, and faults, in the first process of a PID namespace.
#include "handler-host/lockdown/first_process.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cstdlib>

#include "handler-host/lockdown/child_for_tests.h"

namespace bulkhead::host {
namespace {

enum class Prepared : bool { No, Yes };

class FirstProcess : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "only root makes PID namespaces";
  }
  // Signalled when it has said that it is ready. Who survives ends with status 7 when the pipe is closed.
  static int status_after(int number, Prepared prepared) {
    int ready[2], go_on[2];
    EXPECT_EQ(::pipe2(ready, O_CLOEXEC) | ::pipe2(go_on, O_CLOEXEC), 0);
    const auto child = static_cast<pid_t>(::syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, 0, 0, 0, 0));
    char byte = 'r';
    if (child == 0) {
      for (int one = 1; one < SIGRTMIN; ++one) ::signal(one, SIG_DFL);  // a sanitizer may handle some
      if (prepared == Prepared::Yes) die_of_signals();
      ::close(go_on[1]);
      if (::write(ready[1], &byte, 1) != 1) ::_exit(8);
      while (::read(go_on[0], &byte, 1) != 0) {
      }
      ::_exit(7);
    }
    EXPECT_EQ(::read(ready[0], &byte, 1), 1);
    EXPECT_EQ(::kill(child, number), 0);
    for (const int fd : {ready[0], ready[1], go_on[0], go_on[1]}) ::close(fd);
    int status = 0;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    return status;
  }
  template <class Act>
  static int status_of(Act act) {
    return in_child(
               [act] {
                 for (int one = 1; one < SIGRTMIN; ++one) ::signal(one, SIG_DFL);
                 die_of_signals();
                 act();
                 return std::string("survived");
               },
               CLONE_NEWPID)
        .status;
  }
};

TEST_F(FirstProcess, EndsByWhatIsSentToIt) {
  for (const int number : {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGABRT, SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGSYS,
                           SIGTRAP, SIGUSR1, SIGALRM}) {
    const int status = status_after(number, Prepared::Yes);
    EXPECT_TRUE(WIFEXITED(status)) << number;
    EXPECT_EQ(WEXITSTATUS(status), 128 + number);
  }
}

// What it is all for.
TEST_F(FirstProcess, WouldLiveOnWithoutThis) {
  for (const int number : {SIGTERM, SIGABRT, SIGSEGV}) {
    const int status = status_after(number, Prepared::No);
    EXPECT_TRUE(WIFEXITED(status)) << number;
    EXPECT_EQ(WEXITSTATUS(status), 7);
  }
}

TEST_F(FirstProcess, IsKilledByWhatNobodyCanHandle) {
  const int status = status_after(SIGKILL, Prepared::Yes);
  EXPECT_TRUE(WIFSIGNALED(status));
  EXPECT_EQ(WTERMSIG(status), SIGKILL);
}

TEST_F(FirstProcess, AbortsAsAnyOther) {
  EXPECT_EQ(WEXITSTATUS(status_of([] { std::abort(); })), 128 + SIGABRT);
}

TEST_F(FirstProcess, DiesOfItsFaults) {
  const int invalid = status_of([] {
    *static_cast<volatile char*>(::mmap(nullptr, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)) = 1;
  });
  EXPECT_TRUE(WIFSIGNALED(invalid));
  EXPECT_EQ(WTERMSIG(invalid), SIGSEGV);
  const int illegal = status_of([] { __builtin_trap(); });
  EXPECT_TRUE(WIFSIGNALED(illegal));
  EXPECT_EQ(WTERMSIG(illegal), SIGILL);
}

TEST(AnyOtherProcess, IsLeftAlone) {
  const ChildEnd end = in_child([] {
    ::signal(SIGTERM, SIG_DFL);
    die_of_signals();
    struct sigaction action{};
    ::sigaction(SIGTERM, nullptr, &action);
    return std::string(action.sa_handler == SIG_DFL ? "default" : "handled");
  });
  EXPECT_EQ(end.said, "default");
}

}  // namespace
}  // namespace bulkhead::host
