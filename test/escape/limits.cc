// What a limit stops, and so has to be tried until the limit comes.
#include <fcntl.h>
#include <mqueue.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <vector>

#include "test/escape/attempts.h"

namespace bulkhead::test {
namespace {

constexpr int kDescriptors = 200;
constexpr int kProcesses = 48;                           // more than the scenario sets as host_processes
constexpr std::size_t kMemory = std::size_t{160} << 20;  // more than it sets as host_memory_mebibytes

int many_descriptors(const Targets&) {
  std::vector<int> made;
  int answer = 0;
  while (made.size() < kDescriptors && answer == 0) {
    const int fd = ::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
    answer = refusal(fd);
    if (answer == 0) made.push_back(fd);
  }
  for (const int fd : made) ::close(fd);
  return answer;
}

int message_queue(const Targets&) {
  const mqd_t queue = ::mq_open("/escape", O_CREAT | O_RDWR, 0600, nullptr);
  if (queue < 0) return errno;
  return refusal(::mq_unlink("/escape"));
}

int many_processes(const Targets&) {
  std::vector<pid_t> made;
  int answer = 0;
  while (made.size() < kProcesses && answer == 0) {
    const auto child = static_cast<pid_t>(::syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0));
    if (child == 0) {
      ::alarm(20);
      for (;;) ::pause();
    }
    answer = refusal(child);
    if (answer == 0) made.push_back(child);
  }
  for (const pid_t child : made) ::kill(child, SIGKILL);
  for (const pid_t child : made) ::waitpid(child, nullptr, 0);
  return answer;
}

// Page by page: hosts have their memory locked on its first use, and MAP_POPULATE leaves such memory alone.
int much_memory(const Targets&) {
  void* memory = ::mmap(nullptr, kMemory, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return errno;
  for (std::size_t at = 0; at < kMemory; at += 4096) static_cast<volatile char*>(memory)[at] = 1;
  return refusal(::munmap(memory, kMemory));
}

constexpr Attempt kAttempts[] = {
    {"many_descriptors", "200 descriptors", "limits", many_descriptors},
    {"message_queue", "a POSIX message queue", "seccomp limits", message_queue},
    {"many_processes", "48 processes", "seccomp process-limit", many_processes},
    {"much_memory", "160 MiB of memory", "memory-limit", much_memory},
};

}  // namespace

std::span<const Attempt> attempts_on_limits() {
  return kAttempts;
}

}  // namespace bulkhead::test
