// Which system calls a handler-host may make, as data. Everything else ends it.
//
// Found by tracing hosts with handlers `file` and `null` from start to end, then by what glibc does in their
// place on other machines (no vDSO clock, for one). What a handler's own libraries need beyond this its
// manifest names (proto/handler.proto, needs.syscall).
#pragma once

#include <linux/fs.h>
#include <linux/prctl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <cstdint>

namespace bulkhead::host {

// A call, or that call with one argument of a certain kind: (argument & mask) == value.
struct Allowed {
  const char* name;
  int argument = -1;  // its number; -1: whatever the arguments are
  std::uint64_t mask = ~std::uint64_t{0};
  std::uint64_t value = 0;
};

// As long as the process lives.
inline constexpr Allowed kAlways[] = {
    // The loop, doorbells, the control socket.
    {"epoll_wait"},
    {"epoll_pwait"},
    {"epoll_ctl"},
    {"poll"},
    {"ppoll"},
    {"read"},
    {"write"},
    {"readv"},
    {"writev"},
    {"sendmsg"},
    {"recvmsg"},
    {"close"},
    {"timerfd_settime"},
    {"timerfd_gettime"},
    {"alarm"},
    // The backing file, by the descriptor that the supervisor has opened.
    {"pread64"},
    {"pwrite64"},
    {"preadv"},
    {"pwritev"},
    {"preadv2"},
    {"pwritev2"},
    {"io_uring_enter"},
    {"fsync"},
    {"fdatasync"},
    {"sync_file_range"},
    {"fallocate"},
    {"ftruncate"},
    {"fadvise64"},
    {"lseek"},
    {"fstat"},
    {"newfstatat"},
    {"statx"},
    {"fstatfs"},
    {"fcntl"},
    {"ioctl", 1, ~0U, BLKGETSIZE64},
    {"ioctl", 1, ~0U, BLKDISCARD},
    {"ioctl", 1, ~0U, BLKSSZGET},
    {"ioctl", 1, ~0U, BLKPBSZGET},
    {"ioctl", 1, ~0U, BLKALIGNOFF},
    {"ioctl", 1, ~0U, BLKIOOPT},
    {"ioctl", 1, ~0U, BLKROTATIONAL},
    {"ioctl", 1, ~0U, BLKROGET},
    {"ioctl", 1, ~0U, FS_IOC_FSGETXATTR},
    // Memory. Code is loaded at the start alone. What punches holes into the channel (MADV_REMOVE), or leaves
    // a mapping of it that is not locked (MREMAP_DONTUNMAP), would make a pump wait there.
    {"brk"},
    {"munmap"},
    {"mremap", 3, ~std::uint64_t{MREMAP_MAYMOVE}, 0},
    {"madvise", 2, ~0U, MADV_DONTNEED},
    {"madvise", 2, ~0U, MADV_FREE},
    {"madvise", 2, ~0U, MADV_DONTFORK},
    {"mmap", 2, PROT_EXEC, 0},
    {"mprotect", 2, PROT_EXEC, 0},
    // Threads that exist, time, and the process itself.
    {"futex"},
    {"sched_yield"},
    {"sched_getaffinity"},
    {"getcpu"},
    {"membarrier"},
    {"restart_syscall"},
    {"rt_sigaction"},
    {"rt_sigprocmask"},
    {"rt_sigreturn"},
    {"tgkill"},
    {"clock_gettime"},
    {"clock_getres"},
    {"clock_nanosleep"},
    {"nanosleep"},
    {"gettimeofday"},
    {"time"},
    {"getrandom"},
    {"getpid"},
    {"gettid"},
    {"prctl", 0, ~0U, PR_SET_NAME},
    {"exit"},
    {"exit_group"},
};

// Until the backstore is open: libraries are loaded, descriptors and io_uring are made, the filter is
// tightened.
inline constexpr Allowed kAtTheStart[] = {
    {"openat"},
    {"access"},
    {"faccessat"},
    {"faccessat2"},
    {"readlink"},
    {"readlinkat"},
    {"getdents64"},
    {"statfs"},
    {"getcwd"},
    {"mmap"},
    {"mprotect"},
    {"epoll_create1"},
    {"eventfd2"},
    {"timerfd_create"},
    {"pipe2"},
    {"memfd_create"},
    {"dup"},
    {"dup3"},
    {"getsockopt"},
    {"io_uring_setup"},
    {"io_uring_register"},
    {"prlimit64"},
    {"sysinfo"},
    {"uname"},
    {"getuid"},
    {"geteuid"},
    {"getgid"},
    {"getegid"},
    {"prctl"},
    {"seccomp"},
    {"landlock_create_ruleset"},
    {"landlock_add_rule"},
    {"landlock_restrict_self"},
};

// needs.threads. New threads, no processes: all of these flags, and no new namespace.
inline constexpr std::uint64_t kThreadFlags = CLONE_VM | CLONE_SIGHAND | CLONE_THREAD;
inline constexpr std::uint64_t kNamespaceFlags =
    CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET;
inline constexpr Allowed kForThreads[] = {
    {"clone", 0, kThreadFlags | kNamespaceFlags, kThreadFlags},
    {"set_robust_list"},
    {"rseq"},
};

// needs.network.
inline constexpr Allowed kForNetwork[] = {
    {"socket", 0, ~0U, AF_INET},
    {"socket", 0, ~0U, AF_INET6},
    {"socket", 0, ~0U, AF_UNIX},     // name service
    {"socket", 0, ~0U, AF_NETLINK},  // which addresses there are
    {"connect"},
    {"bind"},
    {"getsockname"},
    {"getpeername"},
    {"getsockopt"},
    {"setsockopt"},
    {"sendto"},
    {"recvfrom"},
    {"sendmmsg"},
    {"recvmmsg"},
    {"shutdown"},
};

// The kernel "does not have" these, so that glibc takes another one whose arguments a filter can see.
inline constexpr const char* kUnknownToThreads[] = {"clone3"};

}  // namespace bulkhead::host
