// System calls that no host needs, made by one: they end it. The same without the filter.
#include "handler-host/lockdown/syscall_filter.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <linux/io_uring.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <termios.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include "handler-host/lockdown/child_for_tests.h"
#include "handler-host/lockdown/syscall_table.h"

// A sanitizer's run time makes calls of its own; a build with one has no filter (lockdown.cc).
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)

namespace bulkhead::host {
namespace {

using ::testing::HasSubstr;

struct Attempt {
  const char* name;
  std::function<void()> act;
};

std::string end_of(const ChildEnd& end) {
  if (WIFSIGNALED(end.status)) return fmt::format("killed by SIG{}", ::sigabbrev_np(WTERMSIG(end.status)));
  return fmt::format("exited with {}, said {}", WEXITSTATUS(end.status), end.said);
}

std::string under_filter(Phase phase, const FilterNeeds& needs, const std::function<void()>& act) {
  return end_of(in_child([&]() -> std::string {
    ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (auto done = filter_system_calls(phase, needs); !done) return done.error().what;
    act();
    return "went on";
  }));
}

// Of the many that are not in the table, those that a hostile host would like best.
const Attempt kNever[] = {
    {"execve", [] { ::execl("/bin/true", "true", nullptr); }},
    {"fork", [] { (void)::fork(); }},
    {"vfork", [] { ::syscall(SYS_vfork); }},
    {"clone3", [] { ::syscall(SYS_clone3, nullptr, 0); }},
    {"ptrace", [] { ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr); }},
    {"process_vm_readv", [] { ::syscall(SYS_process_vm_readv, ::getppid(), nullptr, 0, nullptr, 0, 0); }},
    {"kill", [] { ::kill(::getppid(), 0); }},
    {"pidfd_open", [] { ::syscall(SYS_pidfd_open, 1, 0); }},
    {"unshare", [] { ::unshare(CLONE_NEWUSER); }},
    {"setns", [] { ::setns(-1, 0); }},
    {"mount", [] { ::mount("x", "/tmp", "tmpfs", 0, nullptr); }},
    {"move_mount", [] { ::syscall(SYS_move_mount, -1, "", -1, "", 0); }},
    {"socket", [] { ::socket(AF_INET, SOCK_STREAM, 0); }},
    {"socketpair",
     [] {
       int ends[2];
       ::socketpair(AF_UNIX, SOCK_STREAM, 0, ends);
     }},
    {"connect", [] { ::connect(-1, nullptr, 0); }},
    {"bpf", [] { ::syscall(SYS_bpf, 0, nullptr, 0); }},
    {"perf_event_open", [] { ::syscall(SYS_perf_event_open, nullptr, 0, 0, 0, 0); }},
    {"userfaultfd", [] { ::syscall(SYS_userfaultfd, 0); }},
    {"keyctl", [] { ::syscall(SYS_keyctl, 0, 0, 0, 0, 0); }},
    {"add_key", [] { ::syscall(SYS_add_key, nullptr, nullptr, nullptr, 0, 0); }},
    {"open_by_handle_at", [] { ::syscall(SYS_open_by_handle_at, -1, nullptr, 0); }},
    {"setuid", [] { ::syscall(SYS_setuid, 0); }},
    {"personality", [] { ::syscall(SYS_personality, 0x0400000); }},
    {"ioctl TIOCSTI", [] { ::ioctl(0, TIOCSTI, "x"); }},
    {"shmget", [] { ::syscall(SYS_shmget, 0, 4096, 0); }},
    {"mq_open", [] { ::syscall(SYS_mq_open, "/x", O_RDONLY); }},
    {"chroot", [] { (void)!::chroot("/"); }},
    {"unlink", [] { ::unlink("/tmp/none"); }},
    {"modify_ldt", [] { ::syscall(SYS_modify_ldt, 0, nullptr, 0); }},
    {"x32 read", [] { ::syscall(0x40000000, -1, nullptr, 0); }},
};

const Attempt kOnlyAtTheStart[] = {
    {"openat", [] { ::open("/etc/passwd", O_RDONLY); }},
    {"io_uring_setup", [] { ::syscall(SYS_io_uring_setup, 1, nullptr); }},
    {"io_uring_register", [] { ::syscall(SYS_io_uring_register, -1, 0, nullptr, 0); }},
    {"memfd_create", [] { ::memfd_create("x", 0); }},
    {"mmap of code",
     [] { ::mmap(nullptr, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); }},
    {"mprotect to code", [] { ::mprotect(nullptr, 0, PROT_EXEC); }},
    {"prctl", [] { ::prctl(PR_GET_DUMPABLE); }},
    {"seccomp", [] { ::syscall(SYS_seccomp, 2, 0, nullptr); }},
    {"dup", [] { (void)!::dup(0); }},
};

TEST(SyscallFilter, EndsAHostThatDoesWhatNoneNeeds) {
  for (const Phase phase : {Phase::Start, Phase::Serve})
    for (const Attempt& attempt : kNever)
      EXPECT_EQ(under_filter(phase, {}, attempt.act), "killed by SIGSYS") << attempt.name;
}

TEST(SyscallFilter, EndsCodeOfAnotherArchitecture) {
  const auto getpid_of_i386 = [] { asm volatile("int $0x80" : : "a"(20) : "memory"); };
  // Some kernels and virtual machines take no system calls of 32-bit programs, from anybody.
  const std::string unfiltered = end_of(in_child([&]() -> std::string {
    getpid_of_i386();
    return "went on";
  }));
  const bool taken = unfiltered != "killed by SIGSEGV";
  for (const Phase phase : {Phase::Start, Phase::Serve})
    EXPECT_EQ(under_filter(phase, {}, getpid_of_i386), taken ? "killed by SIGSYS" : "killed by SIGSEGV");
}

TEST(SyscallFilter, TakesAwayWhatOnlyOpeningNeeds) {
  for (const Attempt& attempt : kOnlyAtTheStart) {
    EXPECT_EQ(under_filter(Phase::Start, {}, attempt.act), "exited with 0, said went on") << attempt.name;
    EXPECT_EQ(under_filter(Phase::Serve, {}, attempt.act), "killed by SIGSYS") << attempt.name;
  }
}

TEST(SyscallFilter, TheSecondCanBeLoadedUnderTheFirstAndReachesOtherThreads) {
  const FilterNeeds needs{.threads = true};
  EXPECT_EQ(under_filter(Phase::Start, needs,
                         [&] {
                           // Waits for the filter, then does what it forbids.
                           pthread_t other;
                           static std::atomic<bool> tightened = false;
                           ::pthread_create(
                               &other, nullptr,
                               [](void*) -> void* {
                                 while (!tightened) ::sched_yield();
                                 ::open("/etc/passwd", O_RDONLY);
                                 return nullptr;
                               },
                               nullptr);
                           if (!filter_system_calls(Phase::Serve, needs)) ::_exit(1);
                           tightened = true;
                           ::pthread_join(other, nullptr);
                         }),
            "killed by SIGSYS");
}

TEST(SyscallFilter, LetsMemoryThreadsAndAbortWork) {
  const auto work = [] {
    for (std::size_t bytes = 1; bytes < (1 << 26); bytes *= 2)
      std::free(std::realloc(std::malloc(bytes), 2 * bytes));
    pthread_t thread;
    const auto named = [](void*) -> void* {
      ::pthread_setname_np(::pthread_self(), "x");
      return nullptr;
    };
    if (::pthread_create(&thread, nullptr, named, nullptr) != 0) ::_exit(1);
    ::pthread_join(thread, nullptr);
  };
  EXPECT_EQ(under_filter(Phase::Serve, {.threads = true}, work), "exited with 0, said went on");
  EXPECT_EQ(under_filter(Phase::Serve, {}, work), "killed by SIGSYS");
  EXPECT_EQ(under_filter(Phase::Serve, {}, [] { std::abort(); }), "killed by SIGABRT");
}

TEST(SyscallFilter, AllowsWhatTheManifestAsksFor) {
  const auto connects = [] { ::connect(::socket(AF_INET, SOCK_STREAM, 0), nullptr, 0); };
  EXPECT_EQ(under_filter(Phase::Serve, {.network = true}, connects), "exited with 0, said went on");
  EXPECT_EQ(under_filter(Phase::Serve, {.network = true}, [] { ::socket(AF_PACKET, SOCK_RAW, 0); }),
            "killed by SIGSYS");
  const auto asks = [] { ::getppid(); };
  EXPECT_EQ(under_filter(Phase::Serve, {}, asks), "killed by SIGSYS");
  EXPECT_EQ(under_filter(Phase::Serve, {.syscalls = {"getppid"}}, asks), "exited with 0, said went on");
  EXPECT_THAT(under_filter(Phase::Serve, {.syscalls = {"teleport"}}, asks),
              HasSubstr("there is no system call named teleport"));
}

}  // namespace
}  // namespace bulkhead::host

#endif
