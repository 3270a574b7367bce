// Cgroup leaves for hosts, where systemd delegates our cgroup to us (Delegate=yes):
// /.../tcmu-supervisor.service/ supervisor holds us, host-NAME one host each. Elsewhere hosts stay where we
// are. Kernel: cgroup v2. Threads: the control thread.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"
#include "base/unique_fd.h"

namespace bulkhead::supervisor {

class Cgroups {
 public:
  // Without delegation: an object that makes no leaves. Errors: delegated, but we can't move ourselves.
  [[nodiscard]] static Result<Cgroups> prepare();

  [[nodiscard]] bool delegated() const { return !folder_.empty(); }
  // Opens (and makes) the leaf; an invalid descriptor if there is no delegation.
  [[nodiscard]] Result<UniqueFd> leaf(std::string_view name) const;
  // The leaf as /proc/PID/cgroup of a process in it tells it, "/system.slice/.../host-NAME"; empty without
  // delegation.
  [[nodiscard]] std::string leaf_in_proc(std::string_view name) const;
  // Kills what runs in a host's group and waits until it is gone. Blocking, up to 5 s. Nothing to do if there
  // is no such group, or none is delegated. Busy: something can't be killed, as its storage does not answer.
  [[nodiscard]] Result<> end_processes(std::string_view name) const;
  // Once nobody is in it any more; one that is still busy stays for the next host of that name.
  void remove_leaf(std::string_view name) const;

 private:
  explicit Cgroups(std::string folder) : folder_(std::move(folder)) {}
  std::string folder_;  // empty: not delegated
};

}  // namespace bulkhead::supervisor
