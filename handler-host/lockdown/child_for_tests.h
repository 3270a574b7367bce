// A child that does what nobody can take back, and what it says about it.
#pragma once

#include <fcntl.h>
#include <sched.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdint>
#include <string>

namespace bulkhead::host {

struct ChildEnd {
  std::string said;
  int status = 0;  // of waitpid()
};

inline constexpr int kChildWrites = 3;

// Runs `act` in a child, the first process of a PID namespace with `flags` = CLONE_NEWPID, and writes the
// text it returns. The child's descriptor 3 leads here, 4 and 5 are what `keep` names.
template <class Act>
ChildEnd in_child(Act act, int flags = 0, std::array<int, 2> keep = {-1, -1}) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return {"no pipe", -1};
  // Not glibc's, which knows no flags; the only thread is this one.
  const auto child = static_cast<pid_t>(::syscall(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0));
  if (child == 0) {
    ::alarm(30);
    ::dup2(ends[1], kChildWrites);
    for (int i = 0; i < 2; ++i)
      if (keep[static_cast<std::size_t>(i)] >= 0)
        ::dup2(keep[static_cast<std::size_t>(i)], kChildWrites + 1 + i);
    const std::string text = act();
    [[maybe_unused]] const ssize_t written = ::write(kChildWrites, text.data(), text.size());
    ::_exit(0);
  }
  ::close(ends[1]);
  ChildEnd end;
  std::array<char, 4096> part;
  ssize_t got = 0;
  while ((got = ::read(ends[0], part.data(), part.size())) > 0)
    end.said.append(part.data(), static_cast<std::size_t>(got));
  ::close(ends[0]);
  ::waitpid(child, &end.status, 0);
  return end;
}

}  // namespace bulkhead::host
