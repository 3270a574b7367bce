// The program itself, as a process, against the supervisor's bus layer on a private bus: output, exit code,
// effect.
#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <thread>

#include "supervisor/dbus/testing/bus_client.h"
#include "supervisor/dbus/testing/private_bus.h"
#include "supervisor/dbus/testing/service_fixture.h"

namespace bulkhead::tcmuctl {
namespace {

using supervisor::BusClient;
using supervisor::BusPolicy;
using supervisor::PrivateBus;
using supervisor::ServiceFixture;

struct Ended {
  int code;
  std::string text;  // standard output and error together
};

Ended run_shell(const std::string& command) {
  std::FILE* pipe = ::popen(command.c_str(), "re");
  EXPECT_NE(pipe, nullptr);
  std::string text;
  std::array<char, 4096> piece{};
  while (std::size_t got = std::fread(piece.data(), 1, piece.size(), pipe)) text.append(piece.data(), got);
  int status = ::pclose(pipe);
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, text};
}

std::string program() {
  return std::filesystem::absolute("tcmuctl/tcmuctl");
}

class TcmuctlTest : public ::testing::Test {
 protected:
  TcmuctlTest() : bus_(BusPolicy::Installed), service_(bus_.address()) {
    service_.model.handler_list = supervisor::two_handlers();
    service_.model.handler_list[1].problem = "handler_qcow.so is missing";
    add_device("user_1", "d0");
    add_device("user_1", "d1");
    add_device("user_2", "d0");
    service_.start();
    EXPECT_TRUE(service_.wait_until_acquired());
  }
  void add_device(const std::string& hba, const std::string& name) {
    service_.model.device_map[{hba, name}] = supervisor::busy_device(hba, name);
  }
  Ended tcmuctl(const std::string& arguments, const std::string& environment = "") {
    return run_shell(fmt::format("{} timeout 30 {} --bus {} {} 2>&1 </dev/null", environment, program(),
                                 bus_.address(), arguments));
  }
  Ended as_nobody(const std::string& arguments) {
    // The test's own folders may be closed to other users, so the program comes along on an open descriptor.
    return run_shell(
        fmt::format("timeout 30 setpriv --reuid=65534 --clear-groups /proc/self/fd/9 --bus {} {} 2>&1 9<{}",
                    bus_.address(), arguments, program()));
  }
  std::vector<std::string> model_calls() {
    return service_.ask<std::vector<std::string>>([this] { return service_.model.calls; });
  }

  PrivateBus bus_;
  ServiceFixture service_;
};

TEST_F(TcmuctlTest, ListIsATableWithoutColorsInAPipe) {
  Ended ended = tcmuctl("list");
  EXPECT_EQ(ended.code, 0);
  EXPECT_EQ(ended.text,
            "DEVICE     HANDLER  STATE     SIZE  HOST  RESTARTS  IN FLIGHT  CONFIG\n"
            "user_1/d0  file     serving  1 GiB  4242         2          7  file//srv/d0.img\n"
            "user_1/d1  file     serving  1 GiB  4242         2          7  file//srv/d1.img\n"
            "user_2/d0  file     serving  1 GiB  4242         2          7  file//srv/d0.img\n");
}

TEST_F(TcmuctlTest, ListAsJsonHasEveryProperty) {
  Ended ended = tcmuctl("list --json");
  EXPECT_EQ(ended.code, 0);
  nlohmann::json devices = nlohmann::json::parse(ended.text);
  ASSERT_EQ(devices.size(), 3u);
  EXPECT_EQ(devices[0]["device"], "user_1/d0");
  EXPECT_EQ(devices[0]["Size"], 1073741824);
  EXPECT_EQ(devices[0]["Commands"]["read"], 100);
  EXPECT_EQ(devices[0]["LatencyUsec"]["p99.9"], 900);
  EXPECT_EQ(devices[0].size(), 46u);
}

TEST_F(TcmuctlTest, ShowFindsADeviceByNameOrByKey) {
  EXPECT_NE(tcmuctl("show d1").text.find("Device: user_1/d1\n"), std::string::npos);
  EXPECT_NE(tcmuctl("show user_2/d0").text.find("Device: user_2/d0\n"), std::string::npos);
  EXPECT_EQ(nlohmann::json::parse(tcmuctl("show d1 --json").text)["Name"], "d1");
}

TEST_F(TcmuctlTest, NamesThatMeanNoneOrSeveralHaveTheirOwnExitCodes) {
  Ended none = tcmuctl("show d9");
  EXPECT_EQ(none.code, 4);
  EXPECT_EQ(none.text, "tcmuctl: no device 'd9'; 'tcmuctl list' shows them\n");
  Ended several = tcmuctl("restart d0");
  EXPECT_EQ(several.code, 5);
  EXPECT_EQ(several.text, "tcmuctl: several devices are called 'd0', say which: user_1/d0, user_2/d0\n");
  EXPECT_TRUE(model_calls().empty());
}

TEST_F(TcmuctlTest, RestartHoldAndResumeReachTheModel) {
  EXPECT_EQ(tcmuctl("restart d1").code, 0);
  EXPECT_EQ(tcmuctl("hold user_2/d0").code, 0);
  EXPECT_EQ(tcmuctl("resume user_2/d0").code, 0);
  EXPECT_EQ(model_calls(),
            (std::vector<std::string>{"restart user_1/d1", "hold user_2/d0", "resume user_2/d0"}));
}

TEST_F(TcmuctlTest, LimitChangesWhatItSaysAndLeavesTheRest) {
  EXPECT_EQ(tcmuctl("limit d1 --iops 200 --bytes-per-second 4M").code, 0);
  service_.run([this] {
    for (auto& [key, report] : service_.model.device_map) report.limit_bytes_per_second = 5000;
  });
  EXPECT_EQ(tcmuctl("limit d1 --iops 7").code, 0);
  EXPECT_EQ(tcmuctl("limit d1 --reset").code, 0);
  EXPECT_EQ(model_calls(),
            (std::vector<std::string>{"limit to 200 and 4194304 user_1/d1", "limit to 7 and 5000 user_1/d1",
                                      "reset limits of user_1/d1"}));
}

TEST_F(TcmuctlTest, LimitWithoutALimitIsAMistake) {
  for (const char* wrong :
       {"limit d1", "limit d1 --iops fast", "limit d1 --iops -1", "limit d1 --reset --iops 1"})
    EXPECT_EQ(tcmuctl(wrong).code, 2) << wrong;
  EXPECT_TRUE(model_calls().empty());
}

TEST_F(TcmuctlTest, ARefusedOperationExitsWithOneAndTheReason) {
  service_.run([this] { service_.model.operation_outcome = fail(Cause::Busy, 0, "it is recovering"); });
  Ended ended = tcmuctl("hold d1");
  EXPECT_EQ(ended.code, 1);
  EXPECT_EQ(ended.text, "tcmuctl: it is recovering\n");
}

TEST_F(TcmuctlTest, OthersThanRootMayReadOnly) {
  EXPECT_EQ(as_nobody("list").code, 0);
  EXPECT_EQ(as_nobody("show d1").code, 0);
  EXPECT_EQ(as_nobody("check-config file//srv/x").code, 0);
  Ended ended = as_nobody("restart d1");
  EXPECT_EQ(ended.code, 6);
  EXPECT_EQ(ended.text, "tcmuctl: Restart of user_1/d1 is for root only\n");
}

TEST_F(TcmuctlTest, CheckConfigTellsTheVerdict) {
  Ended good = tcmuctl("check-config file//srv/x");
  EXPECT_EQ(good.code, 0);
  EXPECT_EQ(good.text, "success\n");
  service_.run([this] { service_.model.verdict = {false, "open /srv/x: No such file or directory"}; });
  Ended bad = tcmuctl("check-config file//srv/x");
  EXPECT_EQ(bad.code, 7);
  EXPECT_EQ(bad.text, "tcmuctl: open /srv/x: No such file or directory\n");
  Ended broken = tcmuctl("check-config qcow//srv/x");
  EXPECT_EQ(broken.code, 7);
  EXPECT_EQ(broken.text, "tcmuctl: handler_qcow.so is missing\n");
  Ended unknown = tcmuctl("check-config rbd/pool/x");
  EXPECT_EQ(unknown.code, 4);
  EXPECT_EQ(unknown.text, "tcmuctl: no handler 'rbd'; there is file, qcow\n");
}

TEST_F(TcmuctlTest, HandlersShowsWhatIsBroken) {
  EXPECT_NE(tcmuctl("handlers").text.find("qcow     broken"), std::string::npos);
}

TEST_F(TcmuctlTest, WatchEndsAfterItsRounds) {
  Ended ended = tcmuctl("watch --count 2 --interval 0.1");
  EXPECT_EQ(ended.code, 0);
  EXPECT_EQ(ended.text.find('\033'), std::string::npos);
  EXPECT_NE(ended.text.find("\n\nDEVICE     STATE"), std::string::npos);
  EXPECT_EQ(tcmuctl("top -n 1").code, 0);
}

TEST_F(TcmuctlTest, ATerminalGetsColorsUnlessNoColorIsSet) {
  auto in_terminal = [&](const std::string& environment) {
    return run_shell(fmt::format("{} TERM=xterm script -qec '{} --bus {} list' /dev/null </dev/null",
                                 environment, program(), bus_.address()));
  };
  EXPECT_NE(in_terminal("").text.find("\033[32mserving"), std::string::npos);
  EXPECT_EQ(in_terminal("NO_COLOR=1").text.find("\033["), std::string::npos);
}

TEST_F(TcmuctlTest, AWrongCommandLineExitsWithTwo) {
  EXPECT_EQ(tcmuctl("").code, 2);
  EXPECT_EQ(tcmuctl("frobnicate").code, 2);
  EXPECT_EQ(tcmuctl("show").code, 2);
  EXPECT_EQ(tcmuctl("watch --interval 0").code, 2);
  EXPECT_EQ(tcmuctl("--help").code, 0);
}

TEST_F(TcmuctlTest, NobodyOnTheBusIsExitCodeThree) {
  service_.run([this] { service_.service().stop(); });
  Ended ended = tcmuctl("list");
  EXPECT_EQ(ended.code, 3);
  EXPECT_EQ(ended.text.find("tcmuctl: tcmu-supervisor is not running"), 0u) << ended.text;
  bus_.kill();
  Ended no_bus = tcmuctl("list");
  EXPECT_EQ(no_bus.code, 3);
  EXPECT_EQ(no_bus.text.find("tcmuctl: no message bus"), 0u) << no_bus.text;
}

TEST_F(TcmuctlTest, DoctorFindsProblemsAndExitsWithEight) {
  service_.run([this] {
    auto& device = service_.model.device_map[{"user_1", "d1"}];
    device.state = supervisor::DeviceState::Failed;
    device.state_reason = "open /srv/d1.img: No such file or directory";
  });
  std::filesystem::path empty = std::filesystem::temp_directory_path() / fmt::format("empty-{}", ::getpid());
  std::filesystem::create_directory(empty);
  Ended ended = tcmuctl("doctor --root " + empty.string());
  std::filesystem::remove(empty);
  EXPECT_EQ(ended.code, 8);
  const std::vector<std::string> expected = {
      "The kernel module target_core_user is not loaded",
      "Device user_1/d1 is not served: open /srv/d1.img: No such file or directory",
      "Handler 'qcow' can't be used: handler_qcow.so is missing",
      "does not know the name as activatable",
      fmt::format("The supervisor runs as pid {}", ::getpid()),
  };
  for (const std::string& part : expected)
    EXPECT_NE(ended.text.find(part), std::string::npos) << part << "\n" << ended.text;
}

TEST(TcmuctlOnAForeignBus, DoctorNamesTheDaemonThatHasTheName) {
  PrivateBus bus(BusPolicy::Installed);
  BusClient other(bus.address());
  ASSERT_GE(other.own("org.kernel.TCMUService1"), 0);
  sd_bus_add_object(
      other.bus(), nullptr, "/org/kernel/TCMUDevices1",
      [](sd_bus_message* call, void*, sd_bus_error*) {
        return sd_bus_reply_method_errorf(call, SD_BUS_ERROR_UNKNOWN_OBJECT, "no such object");
      },
      nullptr);
  std::atomic<bool> ended = false;
  std::thread serving([&] {
    while (!ended)
      if (sd_bus_process(other.bus(), nullptr) == 0) sd_bus_wait(other.bus(), 20'000);
  });
  Ended doctor = run_shell(fmt::format("timeout 30 {} --bus {} doctor 2>&1", program(), bus.address()));
  ended = true;
  serving.join();
  EXPECT_EQ(doctor.code, 8);
  EXPECT_NE(doctor.text.find("The bus name belongs to another daemon: pid"), std::string::npos)
      << doctor.text;
}

TEST(TcmuctlWithoutPolicy, DoctorSaysThatThePolicyIsNotInForce) {
  PrivateBus bus(BusPolicy::Default);
  Ended doctor = run_shell(fmt::format("timeout 30 {} --bus {} doctor 2>&1", program(), bus.address()));
  EXPECT_EQ(doctor.code, 8);
  EXPECT_NE(doctor.text.find("its policy file is not in force"), std::string::npos) << doctor.text;
}

TEST_F(TcmuctlTest, DecodePutsBytesIntoWordsAndCallsWrongOnesAUsageError) {
  Ended cdb = tcmuctl("decode cdb 28 00 00 00 00 10 00 00 01 00");
  EXPECT_EQ(cdb.code, 0);
  EXPECT_EQ(cdb.text, "READ(10) LBA 16, 1 block [28 00 00 00 00 10 00 00 01 00]\n");
  EXPECT_EQ(tcmuctl("decode sense 700006000000000a000000002a0900000000").text,
            "UNIT ATTENTION, CAPACITY DATA HAS CHANGED (6/2a/09)\n");
  Ended wrong = tcmuctl("decode cdb 28 xy");
  EXPECT_EQ(wrong.code, 2);
  EXPECT_EQ(wrong.text, "tcmuctl: 'xy' is not hexadecimal\n");
  const std::string record =
      "audit: type=1326 audit(1.5:2): pid=7 comm=\"tcmu:file/d0\" sig=31 arch=c000003e syscall=41";
  const std::string words = "1970-01-01 00:00:01 UTC: tcmu:file/d0 (pid 7): socket; it was ended (SIGSYS)\n";
  EXPECT_EQ(tcmuctl("decode seccomp '" + record + "'").text, words);
  EXPECT_EQ(
      run_shell("printf '%s\n' other '" + record + "' other | " + program() + " decode seccomp 2>&1").text,
      words);
  EXPECT_EQ(tcmuctl("decode seccomp type=1").code, 2);
  EXPECT_EQ(tcmuctl("decode cdb").code, 2);
  EXPECT_EQ(tcmuctl("decode").code, 2);
}

TEST_F(TcmuctlTest, BashCompletesCommandsAndDevices) {
  std::string script = fmt::format(
      "source tcmuctl/completion/tcmuctl.bash; tcmuctl() {{ {} --bus {} \"$@\"; }};"
      "COMP_WORDS=(tcmuctl re); COMP_CWORD=1; _tcmuctl; echo \"${{COMPREPLY[@]}}\";"
      "COMP_WORDS=(tcmuctl decode s); COMP_CWORD=2; _tcmuctl; echo \"${{COMPREPLY[@]}}\";"
      "COMP_WORDS=(tcmuctl decode sense 7); COMP_CWORD=3; _tcmuctl; echo \"${{COMPREPLY[@]}}\";"
      "COMP_WORDS=(tcmuctl show user_1); COMP_CWORD=2; _tcmuctl; echo \"${{COMPREPLY[@]}}\";"
      "COMP_WORDS=(tcmuctl restart d1); COMP_CWORD=2; _tcmuctl; echo \"${{COMPREPLY[@]}}\"",
      program(), bus_.address());
  EXPECT_EQ(run_shell("bash -c '" + script + "' 2>&1").text,
            "restart resume\nseccomp sense\n\nuser_1/d0 user_1/d1\nd1\n");
}

}  // namespace
}  // namespace bulkhead::tcmuctl
