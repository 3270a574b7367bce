#include "handler-host/lockdown/namespaces.h"

#include <sched.h>
#include <unistd.h>

#include <cerrno>

namespace bulkhead::host {
namespace {

struct Namespace {
  int flag;
  std::string_view wall;
};

constexpr Namespace kNamespaces[] = {{CLONE_NEWNS, "mount-namespace"},
                                     {CLONE_NEWIPC, "ipc-namespace"},
                                     {CLONE_NEWUTS, "uts-namespace"},
                                     {CLONE_NEWCGROUP, "cgroup-namespace"},
                                     {CLONE_NEWNET, "network-namespace"}};

}  // namespace

void leave_namespaces(Network network, Walls& walls) {
  if (::getpid() == 1)
    walls.stands("pid-namespace");
  else
    walls.missing("pid-namespace", "the host was started without one");
  // One by one, so that a kernel without one of them costs that one alone.
  for (const Namespace& one : kNamespaces) {
    if (one.flag == CLONE_NEWNET && network == Network::Shared)
      walls.not_asked(one.wall);
    else if (::unshare(one.flag) == 0)
      walls.stands(one.wall);
    else
      walls.missing(one.wall, errno_text(errno));
  }
}

}  // namespace bulkhead::host
