// Cgroup leaves for hosts, with limits: /.../tcmu-hosts.service/host-NAME. systemd delegates that group of a
// unit without processes beside ours: a group with controllers switched on below it may hold no process
// itself, and systemd puts the next supervisor into our unit's own group while the hosts of the last one
// live. Without it, leaves without limits in our own group, if that is delegated; elsewhere hosts stay where
// we are. Kernel: cgroup v2. Threads: those that say so block; the rest is for the control thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/unique_fd.h"
#include "supervisor/model/walls.h"

namespace bulkhead::supervisor {

// What one host may use of the machine. 0: no limit.
struct HostLimits {
  std::uint64_t memory_bytes = 0;  // page cache of what it reads and writes included; none of it swapped
  std::uint32_t processes = 0;     // threads included
  std::uint32_t cpu_weight = 100, io_weight = 100;  // against other hosts: 1 to 10000
  std::string cpus, memory_nodes;                   // as cpuset has them, "0-3,8"; empty: all
};

class Cgroups {
 public:
  // Errors: delegated, but we can't move ourselves.
  [[nodiscard]] static Result<Cgroups> prepare();
  // With leaves in that folder.
  explicit Cgroups(std::string folder) : folder_(std::move(folder)) {}

  struct Leaf {
    UniqueFd fd;  // invalid: there is no group for it
    Walls walls;  // the limits and whether they hold
  };
  // A fresh leaf: what still runs in one of that name is killed before. Any thread; blocks up to 5 s. Busy:
  // something can't be killed, as its storage does not answer.
  [[nodiscard]] Result<Leaf> make_leaf(std::string_view name, const HostLimits& limits) const;
  // Sets the limits of a leaf that is there. Any thread; blocks while memory above the limit is given back.
  [[nodiscard]] Walls limit(std::string_view name, const HostLimits& limits) const;
  // How it was if the kernel killed what ran in this leaf, as there was no memory for it; or empty.
  [[nodiscard]] std::string out_of_memory(std::string_view name) const;
  // The leaf as /proc/PID/cgroup of a process in it tells it, "/system.slice/.../host-NAME"; empty: any.
  [[nodiscard]] std::string leaf_in_proc(std::string_view name) const;
  // Once nobody is in it any more; one that is still busy stays for the next host of that name.
  void remove_leaf(std::string_view name) const;

 private:
  [[nodiscard]] std::string path_of(std::string_view name) const;
  [[nodiscard]] Result<> end_processes(const std::string& leaf) const;
  std::string folder_;  // empty: there is none
};

}  // namespace bulkhead::supervisor
