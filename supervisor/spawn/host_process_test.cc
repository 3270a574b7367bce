#include "supervisor/spawn/host_process.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>

#include "base/control_socket.h"

namespace bulkhead::supervisor {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

// A shell script in the host's place: it sees what a host would see.
class HostProcessTest : public ::testing::Test {
 protected:
  HostProcess start(const std::string& body) {
    path_ = std::string(::getenv("TEST_TMPDIR") != nullptr ? ::getenv("TEST_TMPDIR") : "/tmp") + "/host.sh";
    std::ofstream(path_) << "#!/bin/sh\n" << body << "\n";
    ::chmod(path_.c_str(), 0755);
    return HostProcess::start({.binary = path_, .visible_name = "tcmu-host: file/d0"}).value();
  }
  static std::string end_of(HostProcess& host) {
    pollfd event{.fd = host.pidfd().get(), .events = POLLIN, .revents = 0};
    if (::poll(&event, 1, 20000) != 1) return "still running";
    return host.reap().value_or("not reapable");
  }
  static std::string errors_of(HostProcess& host) {
    std::string text(4096, '\0');
    const ssize_t got = ::read(host.standard_error().get(), text.data(), text.size());
    text.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    return text;
  }
  std::string path_;
};

TEST_F(HostProcessTest, ChildHasFourDescriptorsAndNoEnvironment) {
  auto host = start("ls /proc/$$/fd | tr '\\n' ' ' >&2; tr '\\0' ' ' </proc/$$/environ >&2; exit 0");
  EXPECT_EQ(end_of(host), "exited with code 0");
  // The shell itself holds its script as one more.
  EXPECT_THAT(errors_of(host), ::testing::MatchesRegex("0 1 (10 )?2 (255 )?3 (4 )?"));
}

TEST_F(HostProcessTest, ChildIsInAProcessGroupOfItsOwn) {
  auto host = start("[ $(ps -o pgid= -p $$) -eq $$ ] || exit 9");
  EXPECT_EQ(end_of(host), "exited with code 0");
}

TEST_F(HostProcessTest, DeathIsToldBySignalName) {
  auto host = start("kill -SEGV $$");
  EXPECT_THAT(end_of(host), StartsWith("killed by SIGSEGV"));
}

TEST_F(HostProcessTest, KillEndsIt) {
  auto host = start("sleep 60");
  EXPECT_EQ(host.reap(), std::nullopt);
  host.kill();
  EXPECT_EQ(end_of(host), "killed by SIGKILL");
}

TEST_F(HostProcessTest, ControlSocketReachesTheChildAsDescriptorThree) {
  auto host = start("echo hello >&3");
  EXPECT_EQ(end_of(host), "exited with code 0");
  auto packet = receive_packet(host.control());
  ASSERT_TRUE(packet && *packet);
  EXPECT_EQ((**packet).bytes, "hello\n");
}

TEST_F(HostProcessTest, ChildThatIsGoneIsSeenAsEndOfFile) {
  auto host = start("exit 0");
  EXPECT_EQ(end_of(host), "exited with code 0");
  auto packet = receive_packet(host.control());
  ASSERT_FALSE(packet);
  EXPECT_EQ(packet.error().cause, Cause::PeerBroken);
}

TEST(HostProcess, MissingBinaryIsNamedWithTheRemedy) {
  auto host = HostProcess::start({.binary = "/nonexistent/host", .visible_name = "x"});
  ASSERT_FALSE(host);
  EXPECT_THAT(host.error().what, HasSubstr("/nonexistent/host"));
  EXPECT_THAT(host.error().what, HasSubstr("installed"));
}

}  // namespace
}  // namespace bulkhead::supervisor
