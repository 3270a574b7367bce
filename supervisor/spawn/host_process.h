// One handler-host process: started with exactly the descriptors it needs, known by its pidfd.
//
// Threads: the control thread. Nothing here blocks but the fork itself.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>

#include "base/error.h"
#include "base/unique_fd.h"

namespace bulkhead::supervisor {

struct HostCommand {
  std::string binary;        // absolute path of tcmu-handler-host
  std::string visible_name;  // argv[0], what ps shows: "tcmu-host: file/d0"
  std::uint32_t uid = 0;     // the host becomes this user and group; 0: it stays what we are (tests)
  int cgroup_fd = -1;        // directory of its leaf; -1: it stays in ours
};

class HostProcess {
 public:
  // The child gets the control socket as 3, a pipe to us as standard error, /dev/null as 0 and 1, nothing
  // else; its own process group; an empty environment. Errors: the binary is missing, no process or
  // descriptor to be had.
  [[nodiscard]] static Result<HostProcess> start(const HostCommand& command);

  HostProcess(HostProcess&&) = default;
  HostProcess& operator=(HostProcess&&) = default;
  // Kills what is still running; the zombie is reaped here if it can be at once.
  ~HostProcess();

  [[nodiscard]] pid_t pid() const { return pid_; }
  // Readable when the process has ended.
  [[nodiscard]] const UniqueFd& pidfd() const { return pidfd_; }
  [[nodiscard]] UniqueFd& control() { return control_; }
  [[nodiscard]] UniqueFd& standard_error() { return stderr_; }

  void kill() const;
  // How it ended, for people: "killed by SIGKILL", "exited with code 3". nullopt: it has not.
  [[nodiscard]] std::optional<std::string> reap();

 private:
  HostProcess(pid_t pid, UniqueFd pidfd, UniqueFd control, UniqueFd standard_error);
  pid_t pid_ = 0;
  UniqueFd pidfd_;
  UniqueFd control_;
  UniqueFd stderr_;
};

}  // namespace bulkhead::supervisor
