// What somebody tries who has taken over a host: one function for each attempt, and which walls stop it.
//
// Each one of the walls it names stops it alone, with no other wall standing; with none of them it succeeds.
// Both are proven by the guest's scenario escape. An attempt that succeeds puts back what it has changed.
#pragma once

#include <cerrno>
#include <map>
#include <span>
#include <string>
#include <string_view>

namespace bulkhead::test {

// What the scenario tells of the machine, by name: "supervisor" and "sibling" (process ids), "secret" (a
// path)...
class Targets {
 public:
  explicit Targets(std::map<std::string, std::string, std::less<>> told) : told_(std::move(told)) {}
  [[nodiscard]] const char* path(std::string_view name) const;
  [[nodiscard]] long number(std::string_view name) const;

 private:
  std::map<std::string, std::string, std::less<>> told_;
};

struct Attempt {
  const char* name;
  const char* tries;
  const char* walls;                // which stop it alone, by their names, separated by blanks
  int (*act)(const Targets& told);  // 0: done; else the errno with which it was refused
};

[[nodiscard]] std::span<const Attempt> attempts_on_files();
[[nodiscard]] std::span<const Attempt> attempts_on_processes();
[[nodiscard]] std::span<const Attempt> attempts_on_sockets();
[[nodiscard]] std::span<const Attempt> attempts_on_kernel();
[[nodiscard]] std::span<const Attempt> attempts_on_identity();
[[nodiscard]] std::span<const Attempt> attempts_on_limits();
[[nodiscard]] std::span<const Attempt> attempts_on_ring();
// Only in the host of a LUN, and proven otherwise: see channel.cc.
[[nodiscard]] std::span<const Attempt> attempts_on_channel();

// Of a system call's result.
template <class Number>
int refusal(Number result) {
  return result < 0 ? errno : 0;
}

}  // namespace bulkhead::test
