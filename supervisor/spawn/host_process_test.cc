#include "supervisor/spawn/host_process.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <fstream>
#include <optional>
#include <span>

#include "base/control_socket.h"

namespace bulkhead::supervisor {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

// A shell script in the host's place: it sees what a host would see.
class HostProcessTest : public ::testing::Test {
 protected:
  HostProcess start(const std::string& body, HostCommand command = {}) {
    path_ = std::string(::getenv("TEST_TMPDIR") != nullptr ? ::getenv("TEST_TMPDIR") : "/tmp") + "/host.sh";
    std::ofstream(path_) << "#!/bin/sh\n" << body << "\n";
    ::chmod(path_.c_str(), 0755);
    command.binary = path_;
    command.visible_name = "tcmu-host: file/d0";
    return HostProcess::start(command).value();
  }
  // The socket does not block, and cat takes a whole packet.
  static constexpr const char* kWaitForGo = "until cat <&3 2>&- | grep -q go; do sleep 0.01; done; ";
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
  // Without a pipeline, whose ends the shell would still hold.
  auto host = start(
      "for fd in /proc/$$/fd/*; do printf '%s ' ${fd##*/} >&2; done; "
      "tr '\\0' ' ' </proc/$$/environ >&2; exit 0");
  EXPECT_EQ(end_of(host), "exited with code 0");
  // The shell itself holds its script as one more, and the folder that it reads.
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

TEST_F(HostProcessTest, ADeathByTheSystemCallFilterTellsWhereTheCallIsRecorded) {
  auto host = start("ulimit -c 0; kill -SYS $$");
  EXPECT_EQ(end_of(host),
            "killed by SIGSYS, as by its system call filter: the kernel's audit record of pid " +
                std::to_string(host.pid()) + " (type=1326) has the call");
  auto sent = start("exit 159");
  EXPECT_EQ(end_of(sent), "killed by SIGSYS");
}

TEST_F(HostProcessTest, TheStatusThatTheFirstProcessOfANamespaceDiesWithIsToldAsItsSignal) {
  auto aborted = start("exit 134");
  EXPECT_EQ(end_of(aborted), "killed by SIGABRT");
  auto failed = start("exit 128");
  EXPECT_EQ(end_of(failed), "exited with code 128");
}

TEST_F(HostProcessTest, AHostWithAUserIsTheFirstProcessOfItsNamespaceAndHearsOfItsSandbox) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root makes PID namespaces";
  auto host = start("echo $$ $1 $2 >&2", {.uid = 54321, .sandbox = {"--network"}});
  EXPECT_EQ(end_of(host), "exited with code 0");
  EXPECT_EQ(errors_of(host), "1 --uid=54321 --network\n");
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

// The host of a supervisor that has ended: its parent is somebody else, and what was kept of it comes back.
class AdoptedHost : public HostProcessTest {
 protected:
  // The supervisor's death is a child's of ours, which has the host and sends back what systemd would keep.
  HostProcess adopt(const std::string& body) {
    auto wire = std::move(*make_control_pair());
    const pid_t supervisor = ::fork();
    if (supervisor == 0) {
      HostProcess host = start(body);
      auto copies = host.duplicate();
      const std::array<int, 3> fds{copies->pidfd.get(), copies->control.get(), copies->standard_error.get()};
      ::_exit(send_packet(wire[1], std::as_bytes(std::span("kept", 4)), fds) ? 0 : 1);
    }
    int status = -1;
    EXPECT_EQ(::waitpid(supervisor, &status, 0), supervisor);
    EXPECT_EQ(status, 0);
    auto packet = receive_packet(wire[0]).value().value();
    return HostProcess::adopt({.pidfd = std::move(packet.fds.at(0)),
                               .control = std::move(packet.fds.at(1)),
                               .standard_error = std::move(packet.fds.at(2))})
        .value();
  }
};

TEST_F(AdoptedHost, IsKnownByItsPidfdAndSpeaksOnTheSameSocket) {
  auto host = adopt("echo $$ >&3; " + std::string(kWaitForGo) + "echo last words >&2; exit 0");
  auto packet = receive_packet(host.control());
  while (packet && !*packet) packet = receive_packet(host.control());
  ASSERT_TRUE(packet);
  EXPECT_EQ((**packet).bytes, std::to_string(host.pid()) + "\n");
  EXPECT_EQ(host.reap(), std::nullopt) << "it is no child of ours, but it runs";
  ASSERT_TRUE(send_packet(host.control(), std::as_bytes(std::span("go\n", 3))));
  EXPECT_THAT(end_of(host), StartsWith("ended; how is unknown"));
  EXPECT_EQ(errors_of(host), "last words\n");
}

TEST_F(AdoptedHost, IsKilledLikeAnyOther) {
  auto host = adopt("exec sleep 60");
  host.kill();
  EXPECT_THAT(end_of(host), StartsWith("ended"));
}

TEST_F(AdoptedHost, ThatHasEndedMeanwhileIsNotTakenForAnother) {
  auto host = adopt("exec sleep 60");
  auto copies = std::move(*host.duplicate());
  host.kill();
  EXPECT_THAT(end_of(host), StartsWith("ended"));
  // Whoever its parent is now may not have reaped it yet; then it is adopted and seen to have ended.
  auto again = HostProcess::adopt(std::move(copies));
  if (again)
    EXPECT_THAT(end_of(*again), StartsWith("ended"));
  else
    EXPECT_EQ(again.error().cause, Cause::NotFound);
}

// Init reaps what no supervisor is there to reap.
TEST_F(HostProcessTest, ThatIsReapedIsSeenToHaveEndedWhenItIsAdopted) {
  auto host = start("exit 0");
  auto copies = std::move(*host.duplicate());
  EXPECT_EQ(end_of(host), "exited with code 0");
  auto adopted = HostProcess::adopt(std::move(copies));
  ASSERT_TRUE(adopted);
  EXPECT_EQ(adopted->pid(), 0);
  EXPECT_TRUE(adopted->reap());
}

TEST_F(HostProcessTest, WithoutAPidfdNobodyIsAdopted) {
  auto host = start("exec sleep 60");
  auto copies = std::move(*host.duplicate());
  auto adopted = HostProcess::adopt({.pidfd = std::move(copies.control),
                                     .control = std::move(copies.pidfd),
                                     .standard_error = std::move(copies.standard_error)});
  ASSERT_FALSE(adopted);
  EXPECT_EQ(adopted.error().cause, Cause::BadInput);
}

TEST_F(HostProcessTest, OneThatShallOutliveUsDoes) {
  std::optional<HostProcess> host = start(kWaitForGo);
  auto copies = std::move(*host->duplicate());
  host->leave_running();
  host.reset();
  auto kept = HostProcess::adopt(std::move(copies));
  ASSERT_TRUE(kept);
  EXPECT_EQ(kept->reap(), std::nullopt);
  ASSERT_TRUE(send_packet(kept->control(), std::as_bytes(std::span("go\n", 3))));
  EXPECT_THAT(end_of(*kept), StartsWith("ended"));
  EXPECT_GT(::waitpid(kept->pid(), nullptr, 0), 0);
}

TEST(HostProcess, MissingBinaryIsNamedWithTheRemedy) {
  auto host = HostProcess::start({.binary = "/nonexistent/host", .visible_name = "x"});
  ASSERT_FALSE(host);
  EXPECT_THAT(host.error().what, HasSubstr("/nonexistent/host"));
  EXPECT_THAT(host.error().what, HasSubstr("installed"));
}

}  // namespace
}  // namespace bulkhead::supervisor
