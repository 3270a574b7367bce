// A child gives up what the supervisor gives up, and is then refused what it has no use for, but can still do
// what serving devices needs.
#include <cap-ng.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <linux/landlock.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "supervisor/lockdown/capabilities.h"
#include "supervisor/lockdown/syscall_filter.h"

namespace bulkhead::supervisor {
namespace {

// What `act` says in a child that nobody can take anything back from.
std::string in_child(const std::function<std::string()>& act) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return "no pipe";
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(30);
    const std::string said = act();
    [[maybe_unused]] const ssize_t written = ::write(ends[1], said.data(), said.size());
    ::_exit(0);
  }
  ::close(ends[1]);
  std::string said;
  char part[512];
  for (ssize_t got = 0; (got = ::read(ends[0], part, sizeof part)) > 0;)
    said.append(part, static_cast<std::size_t>(got));
  ::close(ends[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  if (WIFSIGNALED(status)) said += fmt::format("killed by SIG{}", ::sigabbrev_np(WTERMSIG(status)));
  return said;
}

std::string filtered(const std::function<std::string()>& act, const std::vector<std::string>& more = {}) {
  return in_child([&] {
    if (auto done = filter_system_calls(more); !done) return done.error().what;
    return act();
  });
}

struct Call {
  const char* name;
  long number;
  std::array<long, 6> arguments = {};
};

std::string result_of(const Call& call) {
  const auto& a = call.arguments;
  errno = 0;
  const long result = ::syscall(call.number, a[0], a[1], a[2], a[3], a[4], a[5]);
  return result >= 0 ? "done" : ::strerrorname_np(errno);
}

// With arguments with which the kernel itself would refuse them in another way, or do them.
const Call kRefused[] = {
    {"ptrace", SYS_ptrace, {PTRACE_TRACEME}},
    {"process_vm_readv", SYS_process_vm_readv, {1, 0, 0, 0, 0, 0}},
    {"process_vm_writev", SYS_process_vm_writev, {1, 0, 0, 0, 0, 0}},
    {"process_madvise", SYS_process_madvise, {-1}},
    {"pidfd_getfd", SYS_pidfd_getfd, {-1}},
    {"kcmp", SYS_kcmp, {1, 1}},
    {"setns", SYS_setns, {-1}},
    {"bpf", SYS_bpf, {-1}},
    {"perf_event_open", SYS_perf_event_open, {0, 0, -1, -1}},
    {"userfaultfd", SYS_userfaultfd, {-1}},
    {"kexec_load", SYS_kexec_load, {0, 0, 0, -1}},
    {"kexec_file_load", SYS_kexec_file_load, {-1, -1, 0, 0, -1}},
    {"init_module", SYS_init_module, {0, 0, 0}},
    {"finit_module", SYS_finit_module, {-1}},
    {"delete_module", SYS_delete_module, {0}},
    {"keyctl", SYS_keyctl, {0, 0, 0}},
    {"add_key", SYS_add_key, {0}},
    {"request_key", SYS_request_key, {0}},
    {"reboot", SYS_reboot, {0, 0, 0}},
    {"swapon", SYS_swapon, {0}},
    {"settimeofday", SYS_settimeofday, {0, 0}},
    {"clock_settime", SYS_clock_settime, {-1, 0}},
    {"iopl", SYS_iopl, {0}},
    {"ioperm", SYS_ioperm, {0, 0, 0}},
    {"personality", SYS_personality, {0xffffffff}},
    {"name_to_handle_at", SYS_name_to_handle_at, {-1}},
    {"open_by_handle_at", SYS_open_by_handle_at, {-1}},
    {"quotactl", SYS_quotactl, {0}},
    {"acct", SYS_acct, {1}},
    {"chroot", SYS_chroot, {0}},
    {"mknod", SYS_mknod, {0}},
    {"chown", SYS_chown, {0}},
    {"chmod", SYS_chmod, {0}},
    {"sethostname", SYS_sethostname, {0, 0}},
    {"syslog", SYS_syslog, {10}},
    {"modify_ldt", SYS_modify_ldt, {0}},
    {"fsopen", SYS_fsopen, {0}},
    {"fanotify_init", SYS_fanotify_init, {-1}},
    {"shmget", SYS_shmget, {0}},
    {"a call of a kernel to come", 900},
};

TEST(SyscallFilter, RefusesWhatIsNotInTheTable) {
  for (const Call& call : kRefused)
    EXPECT_EQ(filtered([&] { return result_of(call); }), "ENOSYS") << call.name;
}

// The test above would pass as well if the kernel lacked them all.
TEST(SyscallFilter, IsWhatRefuses) {
  unsigned exist = 0;
  for (const Call& call : kRefused)
    if (in_child([&] { return result_of(call); }) != "ENOSYS") ++exist;
  EXPECT_GE(exist, std::size(kRefused) / 2);
}

TEST(SyscallFilter, ReachesThreadsThatAreThereAlready) {
  EXPECT_EQ(in_child([] {
              std::atomic<bool> on = false;
              std::string said;
              std::thread other([&] {
                while (!on) std::this_thread::yield();
                said = result_of({"acct", SYS_acct, {1}});
              });
              if (!filter_system_calls({})) said = "no filter";
              on = true;
              other.join();
              return said;
            }),
            "ENOSYS");
}

TEST(SyscallFilter, LetsManifestsAskForMore) {
  const auto act = [] { return result_of({"kcmp", SYS_kcmp, {::getpid(), ::getpid(), 99}}); };
  EXPECT_EQ(filtered(act), "ENOSYS");
  EXPECT_EQ(filtered(act, {"kcmp"}), "EINVAL");
  EXPECT_EQ(filtered(act, {"teleport", "kcmp"}), "EINVAL")
      << "a name that nobody knows is for the host to tell";
}

TEST(SyscallFilter, EndsCodeOfAnotherArchitecture) {
  const auto calls = []() -> std::string {
    ::signal(SIGSEGV, SIG_DFL);  // not a sanitizer's
    asm volatile("int $0x80" : : "a"(20) : "memory");
    return "went on";
  };
  // Some kernels and virtual machines take no system calls of 32-bit programs, from anybody.
  const bool taken = in_child(calls) != "killed by SIGSEGV";
  EXPECT_EQ(filtered(calls), taken ? "killed by SIGSYS" : "killed by SIGSEGV");
}

// The whole start of a host is tried in test/adoption and in the guest; this tells which of its steps fails.
TEST(SyscallFilter, LeavesWhatStartsAHost) {
  const auto start = []() -> std::string {
    const pid_t child = ::fork();
    if (child == 0) {
      if (::unshare(CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNET) != 0) ::_exit(1);
      if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) ::_exit(2);
      if (::mount("x", "/usr", "tmpfs", 0, "size=64k") != 0) ::_exit(3);
      if (::chdir("/usr") != 0 || ::syscall(SYS_pivot_root, ".", ".") != 0) ::_exit(4);
      if (::umount2(".", MNT_DETACH) != 0) ::_exit(5);
      if (::setresgid(70000, 70000, 70000) != 0 || ::setresuid(70000, 70000, 70000) != 0) ::_exit(6);
      if (::unshare(CLONE_NEWUSER) != 0) ::_exit(7);
      if (::syscall(SYS_seccomp, 3 /* SECCOMP_GET_NOTIF_SIZES */, 0, nullptr) == 0 || errno == ENOSYS)
        ::_exit(8);
      if (::syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION) < 0 &&
          errno != ENOSYS && errno != EOPNOTSUPP)
        ::_exit(9);
      ::_exit(0);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    return fmt::format("{}", status >> 8);
  };
  EXPECT_EQ(filtered(start), in_child(start));
}

// "CapEff" and the like of the calling thread.
std::string set_of_caps(const char* name) {
  const int fd = ::open("/proc/thread-self/status", O_RDONLY | O_CLOEXEC);
  std::string text(8192, '\0');
  text.resize(static_cast<std::size_t>(std::max<ssize_t>(0, ::read(fd, text.data(), text.size()))));
  ::close(fd);
  const std::size_t at = text.find(fmt::format("{}:\t", name));
  return at == std::string::npos ? "?" : text.substr(at + std::strlen(name) + 2, 16);
}

constexpr std::uint64_t kKeptBits = 1ULL << CAP_NET_ADMIN | 1ULL << CAP_DAC_OVERRIDE | 1ULL << CAP_KILL |
                                    1ULL << CAP_SYS_PTRACE | 1ULL << CAP_SYS_ADMIN | 1ULL << CAP_SETUID |
                                    1ULL << CAP_SETGID | 1ULL << CAP_SETPCAP;

TEST(DropCapabilities, LeavesNoOthersInAnySet) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root has capabilities to drop";
  const std::uint64_t before = std::stoull(set_of_caps("CapPrm"), nullptr, 16);
  const std::uint64_t bounds = std::stoull(set_of_caps("CapBnd"), nullptr, 16);
  EXPECT_EQ(in_child([] {
              // As a container might start us.
              ::capng_get_caps_process();
              ::capng_update(CAPNG_ADD, CAPNG_INHERITABLE, CAP_CHOWN);
              ::capng_apply(CAPNG_SELECT_CAPS);
              ::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_CHOWN, 0, 0);
              if (auto done = drop_capabilities(); !done) return done.error().what;
              std::string said;
              for (const char* set : {"CapPrm", "CapEff", "CapBnd", "CapInh", "CapAmb"})
                said += fmt::format("{}={} ", set, set_of_caps(set));
              return said;
            }),
            fmt::format("CapPrm={0:016x} CapEff={0:016x} CapBnd={1:016x} CapInh={2:016x} CapAmb={2:016x} ",
                        before & kKeptBits, bounds & kKeptBits, 0));
}

TEST(DropCapabilities, TakesEffect) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root has capabilities to drop";
  const auto give_away = [](bool drop) {
    return in_child([drop]() -> std::string {
      if (drop)
        if (auto done = drop_capabilities(); !done) return done.error().what;
      const int file = ::memfd_create("x", MFD_CLOEXEC);
      return ::fchown(file, 1, 1) == 0 ? "given away" : ::strerrorname_np(errno);
    });
  };
  EXPECT_EQ(give_away(false), "given away");
  EXPECT_EQ(give_away(true), "EPERM");
}

TEST(DropCapabilities, MissesNothingThatWasNotThere) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root has capabilities to drop";
  EXPECT_EQ(in_child([] {
              ::capng_get_caps_process();
              ::capng_update(CAPNG_DROP, static_cast<capng_type_t>(CAPNG_EFFECTIVE | CAPNG_PERMITTED),
                             CAP_NET_ADMIN);
              ::capng_apply(CAPNG_SELECT_CAPS);
              const auto done = drop_capabilities();
              return done ? std::string("done") : done.error().what;
            }),
            "done");
}

}  // namespace
}  // namespace bulkhead::supervisor
