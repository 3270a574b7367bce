#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <array>

#include "base/unique_fd.h"
#include "test/escape/attempts.h"

namespace bulkhead::test {
namespace {

int open_it(const std::string& path, int flags) {
  const UniqueFd fd(::open(path.c_str(), flags | O_CLOEXEC | O_NOCTTY, 0600));
  return refusal(fd.get());
}

int read_it(const std::string& path, off_t from) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return errno;
  char byte = 0;
  return refusal(::pread(fd.get(), &byte, 1, from));
}

std::string proc(const Targets& told, std::string_view whose, std::string_view what) {
  return fmt::format("/proc/{}/{}", told.number(whose), what);
}

int read_secret(const Targets& told) {
  return read_it(told.path("secret"), 0);
}
int write_passwords(const Targets&) {
  return open_it("/etc/passwd", O_RDWR);
}
int open_other_image(const Targets& told) {
  return open_it(told.path("other_image"), O_RDWR);
}
int truncate_other_image(const Targets& told) {
  return refusal(::truncate(told.path("other_image"), told.number("other_bytes")));
}
int link_other_image(const Targets& told) {
  const std::string name = std::string(told.path("folder")) + "/linked";
  if (::link(told.path("other_image"), name.c_str()) != 0) return errno;
  return refusal(::unlink(name.c_str()));
}
int rename_other_image(const Targets& told) {
  const std::string name = std::string(told.path("folder")) + "/renamed";
  if (::rename(told.path("other_image"), name.c_str()) != 0) return errno;
  return refusal(::rename(name.c_str(), told.path("other_image")));
}
int other_image_by_handle(const Targets& told) {
  struct {
    file_handle head;
    std::array<unsigned char, MAX_HANDLE_SZ> bytes;
  } handle{.head = {.handle_bytes = MAX_HANDLE_SZ, .handle_type = 0}, .bytes = {}};
  int mount = 0;
  if (::name_to_handle_at(AT_FDCWD, told.path("other_image"), &handle.head, &mount, 0) != 0) return errno;
  const UniqueFd folder(::open(told.path("folder"), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder) return errno;
  const UniqueFd fd(::open_by_handle_at(folder.get(), &handle.head, O_RDWR | O_CLOEXEC));
  return refusal(fd.get());
}
int read_disk(const Targets& told) {
  return read_it(told.path("disk"), 0);
}
int open_ring(const Targets& told) {
  const int no = open_it(told.path("uio"), O_RDWR);
  return no == EBUSY ? 0 : no;
}
int open_memory(const Targets&) {
  return open_it("/dev/mem", O_RDONLY);
}
int write_kernel_log(const Targets&) {
  return open_it("/dev/kmsg", O_WRONLY);
}
int type_on_terminal(const Targets&) {
  const UniqueFd fd(::open("/dev/tty9", O_RDWR | O_CLOEXEC | O_NOCTTY));
  if (!fd) return errno;
  return refusal(::ioctl(fd.get(), TIOCSTI, "x"));
}
int list_processes(const Targets& told) {
  DIR* folder = ::opendir("/proc");
  if (folder == nullptr) return errno;
  int answer = ESRCH;
  const std::string wanted = fmt::to_string(told.number("supervisor"));
  while (const dirent* entry = ::readdir(folder))
    if (wanted == entry->d_name) answer = 0;
  ::closedir(folder);
  return answer;
}
int read_sibling_memory(const Targets& told) {
  return read_it(proc(told, "sibling", "mem"), told.number("sibling_address"));
}
int read_supervisor_memory(const Targets& told) {
  return read_it(proc(told, "supervisor", "mem"), told.number("supervisor_address"));
}
int sibling_descriptor(const Targets& told) {
  return open_it(proc(told, "sibling", "fd/0"), O_RDONLY);
}
int sibling_root(const Targets& told) {
  return open_it(proc(told, "sibling", "root/usr"), O_RDONLY | O_DIRECTORY);
}
int sibling_maps(const Targets& told) {
  return open_it(proc(told, "sibling", "maps"), O_RDONLY);
}
int sysrq(const Targets&) {
  return open_it("/proc/sysrq-trigger", O_WRONLY);
}
int core_pattern(const Targets&) {
  return open_it("/proc/sys/kernel/core_pattern", O_RDWR);
}
int make_lun(const Targets& told) {
  const std::string name = std::string(told.path("configfs")) + "/user_777";
  if (::mkdir(name.c_str(), 0755) != 0) return errno;
  return refusal(::rmdir(name.c_str()));
}
int leave_control_group(const Targets&) {
  const UniqueFd fd(::open("/sys/fs/cgroup/cgroup.procs", O_WRONLY | O_CLOEXEC));
  if (!fd) return errno;
  return refusal(::write(fd.get(), "0", 1));
}
int make_file(const Targets&) {
  if (const int no = open_it("/tmp/escaped", O_CREAT | O_RDWR); no != 0) return no;
  return refusal(::unlink("/tmp/escaped"));
}
int make_link(const Targets&) {
  if (::symlink("/etc/shadow", "/tmp/escaped-link") != 0) return errno;
  return refusal(::unlink("/tmp/escaped-link"));
}
int make_device(const Targets&) {
  if (::mknod("/tmp/escaped-mem", S_IFCHR | 0600, ::makedev(1, 1)) != 0) return errno;
  return refusal(::unlink("/tmp/escaped-mem"));
}
int change_mode(const Targets& told) {
  return refusal(::chmod(told.path("secret"), 0600));
}
int change_owner(const Targets& told) {
  if (::chown(told.path("secret"), 1, 1) != 0) return errno;
  return refusal(::chown(told.path("secret"), 0, 0));
}
int watch_folder(const Targets&) {
  const UniqueFd fd(::inotify_init1(IN_CLOEXEC));
  if (!fd) return errno;
  return refusal(::inotify_add_watch(fd.get(), "/root", IN_ACCESS));
}
int account(const Targets& told) {
  if (::acct(told.path("account")) != 0) return errno;
  return refusal(::acct(nullptr));
}
int swap_to_file(const Targets& told) {
  if (::swapon(told.path("swap"), 0) != 0) return errno;
  return refusal(::swapoff(told.path("swap")));
}

constexpr Attempt kAttempts[] = {
    {"read_secret", "open a file that only root may read", "seccomp user root landlock", read_secret},
    {"write_passwords", "open /etc/passwd for writing", "seccomp user root landlock", write_passwords},
    {"open_other_image", "open another LUN's backing file", "seccomp user root landlock", open_other_image},
    {"truncate_other_image", "truncate another LUN's backing file", "seccomp user root",
     truncate_other_image},
    {"link_other_image", "link another LUN's backing file", "seccomp user root landlock", link_other_image},
    {"rename_other_image", "rename another LUN's backing file", "seccomp user root landlock",
     rename_other_image},
    {"other_image_by_handle", "open_by_handle_at of another LUN's backing file",
     "seccomp unit user capabilities user-namespace root landlock", other_image_by_handle},
    {"read_disk", "read a disk of the machine", "seccomp user root landlock", read_disk},
    // The kernel lets each be opened once, and the supervisor has it; then it is told apart from a refusal.
    {"open_ring", "open another LUN's /dev/uio", "seccomp user root landlock", open_ring},
    {"open_memory", "open /dev/mem", "seccomp unit user capabilities user-namespace root landlock",
     open_memory},
    {"write_kernel_log", "open /dev/kmsg for writing", "seccomp user root landlock", write_kernel_log},
    {"type_on_terminal", "TIOCSTI on a terminal", "seccomp user capabilities user-namespace root landlock",
     type_on_terminal},
    {"list_processes", "find the supervisor in /proc", "seccomp root landlock", list_processes},
    {"read_sibling_memory", "read another host's /proc/PID/mem",
     "seccomp user capabilities user-namespace root landlock", read_sibling_memory},
    {"read_supervisor_memory", "read the supervisor's /proc/PID/mem",
     "seccomp user capabilities user-namespace root landlock", read_supervisor_memory},
    {"sibling_descriptor", "open another host's descriptor by /proc/PID/fd",
     "seccomp user capabilities user-namespace root landlock", sibling_descriptor},
    {"sibling_root", "enter another host's root by /proc/PID/root",
     "seccomp user capabilities user-namespace root landlock", sibling_root},
    {"sibling_maps", "read another host's /proc/PID/maps",
     "seccomp user capabilities user-namespace root landlock", sibling_maps},
    {"sysrq", "open /proc/sysrq-trigger", "seccomp user root landlock", sysrq},
    {"core_pattern", "open /proc/sys/kernel/core_pattern for writing", "seccomp user root landlock",
     core_pattern},
    {"make_lun", "make a TCMU device in configfs", "seccomp user root landlock", make_lun},
    {"leave_control_group", "move itself to the root control group", "seccomp user root landlock",
     leave_control_group},
    {"make_file", "make a file in /tmp", "seccomp root landlock", make_file},
    {"make_link", "make a link in /tmp", "seccomp root landlock", make_link},
    {"make_device", "mknod of a device", "seccomp unit user capabilities user-namespace root landlock",
     make_device},
    {"change_mode", "chmod of root's file", "seccomp user root", change_mode},
    {"change_owner", "chown of root's file", "seccomp unit user capabilities user-namespace root",
     change_owner},
    {"watch_folder", "inotify on /root", "seccomp user root", watch_folder},
    {"account", "switch on process accounting into a file",
     "seccomp unit user capabilities user-namespace root", account},
    {"swap_to_file", "swapon", "seccomp unit user capabilities user-namespace root", swap_to_file},
};

}  // namespace

std::span<const Attempt> attempts_on_files() {
  return kAttempts;
}

}  // namespace bulkhead::test
