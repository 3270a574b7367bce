// One handler-host process: started with exactly the descriptors it needs, known by its pidfd.
//
// Threads: the control thread. Nothing here blocks but the fork itself.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/unique_fd.h"

namespace bulkhead::supervisor {

struct HostCommand {
  std::string binary;        // absolute path of tcmu-handler-host
  std::string visible_name;  // argv[0], what ps shows: "tcmu-host: file/d0"
  // The host becomes this user and group, the first process of a PID namespace, and so on; 0: it stays what
  // and where we are (tests).
  std::uint32_t uid = 0;
  std::vector<std::string> sandbox;  // further arguments: see sandbox_arguments() of supervisor/device
  int cgroup_fd = -1;                // directory of its leaf; -1: it stays in ours
};

// What is left of a host when its supervisor goes: enough for the next one to know it by.
struct HostDescriptors {
  UniqueFd pidfd;
  UniqueFd control;         // our end of the control socket
  UniqueFd standard_error;  // the pipe's read end
};

class HostProcess {
 public:
  // The child gets the control socket as 3, a pipe to us as standard error, /dev/null as 0 and 1, nothing
  // else; its own process group; an empty environment. Errors: the binary is missing, no process or
  // descriptor to be had.
  [[nodiscard]] static Result<HostProcess> start(const HostCommand& command);

  // A host that an earlier supervisor started: no child of ours, so the status it ends with goes to init.
  // Nothing is believed of it but that it is the process behind the pidfd: see host_check.h. One that has
  // ended is taken, and seen to have ended; what it said last can be read. Errors: BadInput when the pidfd is
  // none, or of a process that we can't see.
  [[nodiscard]] static Result<HostProcess> adopt(HostDescriptors descriptors);

  // Copies, for somebody who keeps them for the next supervisor. They don't end with this object.
  [[nodiscard]] Result<HostDescriptors> duplicate() const;
  // It shall outlive us: the destructor closes our descriptors and leaves it alone. Without somebody who
  // keeps duplicates, it sees the end of its control socket then, flushes and ends.
  void leave_running() { ours_to_end_ = false; }

  HostProcess(HostProcess&&) = default;
  HostProcess& operator=(HostProcess&&) = default;
  // Kills what is still running, unless it shall outlive us; the zombie is reaped here if it can be at once.
  ~HostProcess();

  [[nodiscard]] pid_t pid() const { return pid_; }  // 0: adopted when it was gone
  // Readable when the process has ended.
  [[nodiscard]] const UniqueFd& pidfd() const { return pidfd_; }
  [[nodiscard]] UniqueFd& control() { return control_; }
  [[nodiscard]] UniqueFd& standard_error() { return stderr_; }

  void kill() const;
  // How it ended, for people: "killed by SIGKILL", "exited with code 3"; of one adopted only that it has.
  // nullopt: it has not. Status 128 + N is a death by signal N: the first process of a PID namespace can't
  // end by a signal that somebody sent it (handler-host/lockdown/first_process.h). A death by the system call
  // filter also says where its call is recorded: no parent is told that.
  [[nodiscard]] std::optional<std::string> reap();

 private:
  enum class Parent : std::uint8_t { Us, Init };
  HostProcess(pid_t pid, HostDescriptors descriptors, Parent parent);
  pid_t pid_ = 0;  // of messages only
  Parent parent_ = Parent::Us;
  bool ours_to_end_ = true;
  UniqueFd pidfd_;
  UniqueFd control_;
  UniqueFd stderr_;
};

// The process behind a pidfd, as the kernel tells it. Errors: as HostProcess::adopt().
[[nodiscard]] Result<pid_t> pid_of(const UniqueFd& pidfd);

}  // namespace bulkhead::supervisor
