#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/io_uring.h>
#include <linux/keyctl.h>
#include <linux/perf_event.h>
#include <linux/reboot.h>
#include <sched.h>
#include <sys/fanotify.h>
#include <sys/io.h>
#include <sys/ipc.h>
#include <sys/klog.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/timex.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <ctime>

#include "base/unique_fd.h"
#include "test/escape/attempts.h"

namespace bulkhead::test {
namespace {

template <class... Arguments>
int descriptor_of(long number, Arguments... arguments) {
  const UniqueFd fd(static_cast<int>(::syscall(number, arguments...)));
  return refusal(fd.get());
}

int mount_it(const Targets& told) {
  if (::mount("escape", told.path("mount_point"), "tmpfs", 0, "size=64k") != 0) return errno;
  return refusal(::umount2(told.path("mount_point"), MNT_DETACH));
}
int make_file_system(const Targets&) {
  return descriptor_of(SYS_fsopen, "tmpfs", 1U);
}
int copy_mounts(const Targets&) {
  return descriptor_of(SYS_open_tree, AT_FDCWD, "/",
                       static_cast<unsigned>(OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
}
int swap_roots(const Targets& told) {
  if (::unshare(CLONE_NEWNS) != 0) return errno;
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return errno;
  if (::mount("escape", told.path("mount_point"), "tmpfs", 0, "size=64k") != 0) return errno;
  if (::chdir(told.path("mount_point")) != 0) return errno;
  return refusal(::syscall(SYS_pivot_root, ".", "."));
}
// Memory that is shared as a channel's is. What is done to a channel's makes the supervisor wait.
void* shared_page() {
  return ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
}
int unlock_mapping(const Targets&) {
  void* const page = shared_page();
  void* const moved = ::mremap(page, 4096, 4096, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, nullptr);
  if (moved == MAP_FAILED) return errno;
  ::munmap(page, 4096);
  return refusal(::munmap(moved, 4096));
}
int punch_memory(const Targets&) {
  void* const page = shared_page();
  int result = refusal(::madvise(page, 4096, MADV_REMOVE));
  // What is locked has to be unlocked first.
  if (result == EINVAL && ::munlock(page, 4096) == 0) result = refusal(::madvise(page, 4096, MADV_REMOVE));
  ::munmap(page, 4096);
  return result;
}
int change_root(const Targets&) {
  return refusal(::chroot("/"));
}
int enter_namespace(const Targets&) {
  const UniqueFd fd(::open("/proc/1/ns/net", O_RDONLY | O_CLOEXEC));
  if (!fd) return errno;
  return refusal(::setns(fd.get(), CLONE_NEWNET));
}
int leave_namespace(const Targets&) {
  return refusal(::unshare(CLONE_NEWNET));
}
int make_user_namespace(const Targets&) {
  return refusal(::unshare(CLONE_NEWUSER));
}
// Is it the machine's, and not that of a namespace of our own? Seen from the first process's namespace.
int rename_machine(const Targets&) {
  utsname before{}, after{};
  ::uname(&before);
  constexpr std::string_view kName = "escaped";
  if (::sethostname(kName.data(), kName.size()) != 0) return errno;
  const UniqueFd first(::open("/proc/1/ns/uts", O_RDONLY | O_CLOEXEC));
  const int entered = first ? refusal(::setns(first.get(), CLONE_NEWUTS)) : errno;
  ::uname(&after);
  const bool renamed = kName == after.nodename;
  if (::sethostname(before.nodename, std::strlen(before.nodename)) != 0) return errno;
  if (entered != 0) return entered;
  return renamed ? 0 : EXDEV;
}
int read_shared_memory(const Targets& told) {
  const void* memory = ::shmat(static_cast<int>(told.number("shared_memory")), nullptr, SHM_RDONLY);
  return refusal(reinterpret_cast<std::intptr_t>(memory) == -1 ? -1 : 0);
}
int reboot_machine(const Targets&) {  // what Ctrl-Alt-Del does
  return refusal(
      ::syscall(SYS_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2, LINUX_REBOOT_CMD_CAD_OFF, nullptr));
}
int load_kernel(const Targets&) {  // none, which unloads
  return refusal(::syscall(SYS_kexec_load, 0UL, 0UL, nullptr, 0UL));
}
// It stays, for the scenario to take out: that is another right, which not everybody has who has this one.
int load_module(const Targets& told) {
  const UniqueFd fd(::open(told.path("module"), O_RDONLY | O_CLOEXEC));
  if (!fd) return errno;
  return refusal(::syscall(SYS_finit_module, fd.get(), "", 0));
}
int load_module_from_memory(const Targets&) {
  // Not even read if the caller may not load one.
  std::array<char, 64> nothing{};
  const int no = refusal(::syscall(SYS_init_module, nothing.data(), nothing.size(), ""));
  return no == ENOEXEC ? 0 : no;
}
int ports(const Targets&) {
  return refusal(::ioperm(0x80, 1, 1));
}
int all_ports(const Targets&) {
  return refusal(::iopl(3));
}
int load_bpf(const Targets&) {
  bpf_attr attributes{};
  attributes.map_type = BPF_MAP_TYPE_ARRAY;
  attributes.key_size = 4;
  attributes.value_size = 8;
  attributes.max_entries = 1;
  return descriptor_of(SYS_bpf, BPF_MAP_CREATE, &attributes, sizeof attributes);
}
int watch_processor(const Targets&) {
  perf_event_attr attributes{};
  attributes.type = PERF_TYPE_SOFTWARE;
  attributes.size = sizeof attributes;
  attributes.config = PERF_COUNT_SW_CPU_CLOCK;
  return descriptor_of(SYS_perf_event_open, &attributes, -1, 0, -1, 0UL);
}
int handle_faults(const Targets&) {
  return descriptor_of(SYS_userfaultfd, O_CLOEXEC);
}
int make_ring(const Targets&) {
  io_uring_params parameters{};
  return descriptor_of(SYS_io_uring_setup, 4U, &parameters);
}
int make_polling_ring(const Targets&) {  // with a kernel thread that looks at it
  io_uring_params parameters{};
  parameters.flags = IORING_SETUP_SQPOLL;
  return descriptor_of(SYS_io_uring_setup, 4U, &parameters);
}
int add_key(const Targets&) {
  return refusal(::syscall(SYS_add_key, "user", "escape", "x", 1UL, KEY_SPEC_PROCESS_KEYRING));
}
int join_keyring(const Targets&) {
  return refusal(::syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, nullptr, 0, 0, 0));
}
int read_kernel_log(const Targets&) {
  constexpr int kReadAll = 3;
  std::array<char, 256> text{};
  return refusal(::klogctl(kReadAll, text.data(), static_cast<int>(text.size())));
}
int set_clock(const Targets&) {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return refusal(::clock_settime(CLOCK_REALTIME, &now));
}
int tune_clock(const Targets&) {
  timex now{};
  if (::adjtimex(&now) < 0) return errno;
  now.modes = ADJ_STATUS;
  return refusal(::adjtimex(&now));
}
int watch_all_files(const Targets&) {
  const UniqueFd fd(::fanotify_init(FAN_CLASS_CONTENT | FAN_CLOEXEC, O_RDONLY));
  return refusal(fd.get());
}
int hang_up(const Targets&) {
  return refusal(::vhangup());
}
int change_personality(const Targets&) {
  return refusal(::personality(ADDR_NO_RANDOMIZE));
}
int foreign_system_call(const Targets&) {
  // getpid of 32-bit programs, which filters know under another number.
  long result = 20;
  asm volatile("int $0x80" : "+a"(result) : : "memory", "r8", "r9", "r10", "r11");
  if (result < 0) errno = static_cast<int>(-result);
  return refusal(result);
}
int make_code(const Targets&) {
  void* memory =
      ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return memory == MAP_FAILED ? errno : 0;
}
int turn_into_code(const Targets&) {
  void* memory = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return errno;
  return refusal(::mprotect(memory, 4096, PROT_READ | PROT_EXEC));
}
int make_memory_file(const Targets&) {
  return descriptor_of(SYS_memfd_create, "escape", 0U);
}
int splice_pages(const Targets& told) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return errno;
  off64_t from = 0;
  return refusal(::splice(static_cast<int>(told.number("own_fd")), &from, ends[1], nullptr, 1, 0));
}

constexpr const char* kPrivileged = "seccomp unit user capabilities user-namespace";
constexpr const char* kMounts = "seccomp user capabilities user-namespace";
constexpr Attempt kAttempts[] = {
    {"mount_it", "mount a file system", kMounts, mount_it},
    {"make_file_system", "fsopen", kMounts, make_file_system},
    {"copy_mounts", "open_tree with a copy of all mounts", kMounts, copy_mounts},
    {"swap_roots", "pivot_root", "seccomp user capabilities", swap_roots},
    {"unlock_mapping", "mremap that leaves a mapping which is not locked", "seccomp", unlock_mapping},
    {"punch_memory", "a hole in memory that the supervisor has too", "seccomp", punch_memory},
    {"change_root", "chroot", "seccomp unit user capabilities", change_root},
    {"enter_namespace", "setns to the first process's network",
     "seccomp user capabilities user-namespace root landlock", enter_namespace},
    {"leave_namespace", "unshare of the network namespace", "seccomp user capabilities", leave_namespace},
    {"make_user_namespace", "unshare of the user namespace", "seccomp", make_user_namespace},
    {"rename_machine", "sethostname", "seccomp unit user capabilities user-namespace uts-namespace",
     rename_machine},
    {"read_shared_memory", "attach System V shared memory that anybody may read", "seccomp ipc-namespace",
     read_shared_memory},
    {"reboot_machine", "reboot (Ctrl-Alt-Del off)",
     "seccomp unit user capabilities user-namespace pid-namespace", reboot_machine},
    {"load_kernel", "kexec_load (of nothing)", kPrivileged, load_kernel},
    {"load_module", "finit_module of a real module", "seccomp user capabilities user-namespace root landlock",
     load_module},
    {"load_module_from_memory", "init_module", kMounts, load_module_from_memory},
    {"ports", "ioperm", kPrivileged, ports},
    {"all_ports", "iopl", kPrivileged, all_ports},
    {"load_bpf", "bpf", kPrivileged, load_bpf},
    {"watch_processor", "perf_event_open of a whole processor", kPrivileged, watch_processor},
    {"handle_faults", "userfaultfd", kPrivileged, handle_faults},
    {"make_ring", "io_uring_setup", "seccomp", make_ring},
    {"make_polling_ring", "io_uring_setup with a thread of the kernel's", "seccomp", make_polling_ring},
    {"add_key", "add_key", "seccomp unit", add_key},
    {"join_keyring", "keyctl: a session keyring of its own", "seccomp unit", join_keyring},
    {"read_kernel_log", "syslog: read the kernel's log", kPrivileged, read_kernel_log},
    {"set_clock", "clock_settime", kPrivileged, set_clock},
    {"tune_clock", "adjtimex", kPrivileged, tune_clock},
    {"watch_all_files", "fanotify_init with permission events", kMounts, watch_all_files},
    {"hang_up", "vhangup", kPrivileged, hang_up},
    {"change_personality", "personality: no address randomisation", "seccomp unit", change_personality},
    {"foreign_system_call", "a system call of another architecture", "seccomp unit", foreign_system_call},
    {"make_code", "mmap of memory that is writable and executable", "seccomp unit", make_code},
    {"turn_into_code", "mprotect of written memory to executable", "seccomp unit", turn_into_code},
    {"make_memory_file", "memfd_create", "seccomp", make_memory_file},
    {"splice_pages", "splice", "seccomp", splice_pages},
};

}  // namespace

std::span<const Attempt> attempts_on_kernel() {
  return kAttempts;
}

}  // namespace bulkhead::test
