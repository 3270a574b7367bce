// A dbus-daemon of the test's own, ended with it: real clients, a real bus, the real policy file.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <string>

namespace bulkhead::supervisor {

enum class BusPolicy {
  Installed,   // Debian's default policy and dbus-policy/org.kernel.TCMUService1.conf
  WithPolkit,  // and what polkit's own file allows: root owns its name here, and everybody may ask it
  Permissive,  // everybody may everything: what a left-over tcmu-runner.conf comes near to
  Default,     // Debian's default policy alone: ours is not installed
};

class PrivateBus {
 public:
  explicit PrivateBus(BusPolicy policy);  // and starts it
  ~PrivateBus();
  PrivateBus(const PrivateBus&) = delete;
  PrivateBus& operator=(const PrivateBus&) = delete;

  void start();  // again, at the same address; returns when clients can connect, throws after ten seconds
  void kill();   // SIGKILL; returns when it is gone
  [[nodiscard]] std::string address() const { return "unix:path=" + (directory_ / "socket").string(); }
  [[nodiscard]] pid_t pid() const { return pid_; }

 private:
  std::filesystem::path directory_;
  pid_t pid_ = -1;
};

}  // namespace bulkhead::supervisor
