#include "supervisor/dbus/testing/private_bus.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <stdexcept>

#include "base/unique_fd.h"

namespace bulkhead::supervisor {
namespace {

constexpr int kStartMilliseconds = 10'000;

// As in Debian's /usr/share/dbus-1/system.conf.
constexpr const char* kDefaultPolicy = R"(
  <policy context="default">
    <allow user="*"/>
    <deny own="*"/>
    <deny send_type="method_call"/>
    <allow send_type="signal"/>
    <allow send_requested_reply="true" send_type="method_return"/>
    <allow send_requested_reply="true" send_type="error"/>
    <allow receive_type="method_call"/>
    <allow receive_type="method_return"/>
    <allow receive_type="error"/>
    <allow receive_type="signal"/>
    <allow send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus"/>
  </policy>
)";

constexpr const char* kPermissivePolicy = R"(
  <policy context="default">
    <allow user="*"/>
    <allow own="*"/>
    <allow send_destination="*"/>
    <allow receive_sender="*"/>
  </policy>
)";

constexpr const char* kPolkitPolicy = R"(
  <policy user="root"><allow own="org.freedesktop.PolicyKit1"/></policy>
  <policy context="default"><allow send_destination="org.freedesktop.PolicyKit1"/></policy>
)";

std::string policy_text(BusPolicy policy) {
  std::filesystem::path installed = std::filesystem::absolute("dbus-policy/org.kernel.TCMUService1.conf");
  switch (policy) {
    case BusPolicy::Installed:
      if (!std::filesystem::exists(installed))
        throw std::runtime_error("no policy file at " + installed.string());
      return fmt::format("{}<include>{}</include>", kDefaultPolicy, installed.string());
    case BusPolicy::WithPolkit:
      return policy_text(BusPolicy::Installed) + kPolkitPolicy;
    case BusPolicy::Permissive:
      return kPermissivePolicy;
    case BusPolicy::Default:
      return kDefaultPolicy;
  }
  return "";
}

[[noreturn]] void become_daemon(const std::string& config, int address_fd) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  ::fcntl(address_fd, F_SETFD, 0);
  std::string config_option = "--config-file=" + config;
  std::string address_option = fmt::format("--print-address={}", address_fd);
  ::execlp("dbus-daemon", "dbus-daemon", "--nofork", "--nopidfile", config_option.c_str(),
           address_option.c_str(), nullptr);
  ::_exit(127);
}

}  // namespace

PrivateBus::PrivateBus(BusPolicy policy) {
  // Not in the test's own folder: other users connect too, and may have no way through it.
  std::array<char, 32> name{"/tmp/bulkhead-bus-XXXXXX"};
  if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp failed");
  directory_ = name.data();
  std::filesystem::permissions(directory_, std::filesystem::perms(0755));
  std::ofstream(directory_ / "bus.conf") << fmt::format(
      R"(<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>custom</type><listen>{}</listen><auth>EXTERNAL</auth>{}</busconfig>)",
      address(), policy_text(policy));
  start();
}

PrivateBus::~PrivateBus() {
  kill();
  std::error_code ignored;
  std::filesystem::remove_all(directory_, ignored);
}

void PrivateBus::start() {
  std::error_code ignored;
  std::filesystem::remove(directory_ / "socket", ignored);
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw std::runtime_error("pipe failed");
  UniqueFd read_end(ends[0]);
  UniqueFd write_end(ends[1]);
  std::string config = directory_ / "bus.conf";
  pid_ = ::fork();
  if (pid_ == 0) become_daemon(config, write_end.get());
  write_end.reset();
  pollfd ready{read_end.get(), POLLIN, 0};
  std::array<char, 256> line{};
  if (::poll(&ready, 1, kStartMilliseconds) != 1 || ::read(read_end.get(), line.data(), line.size()) <= 0)
    throw std::runtime_error("dbus-daemon does not start");
}

void PrivateBus::kill() {
  if (pid_ <= 0) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
  pid_ = -1;
}

}  // namespace bulkhead::supervisor
