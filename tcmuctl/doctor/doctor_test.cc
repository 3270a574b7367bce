// Each check over a small file system of its own: sound, and broken in the one way that it is about.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>

#include "tcmuctl/doctor/bus_checks.h"
#include "tcmuctl/doctor/system_checks.h"

namespace bulkhead::tcmuctl {
namespace {

namespace fs = std::filesystem;

const std::string kPolicy = "/usr/share/dbus-1/system.d/org.kernel.TCMUService1.conf";
const std::string kActivation = "/usr/share/dbus-1/system-services/org.kernel.TCMUService1.service";
const std::string kUnit = "/lib/systemd/system/tcmu-supervisor.service";
const std::string kManifest = "/usr/lib/tcmu-bulkhead/handlers/file.textproto";

class DoctorTest : public ::testing::Test {
 protected:
  DoctorTest() {
    ::umask(022);
    std::string name = (fs::temp_directory_path() / "doctor-XXXXXX").string();
    root_ = ::mkdtemp(name.data());
    for (const char* folder : {"/sys/kernel/config/target", "/sys/module/target_core_user", "/sys/class/uio"})
      fs::create_directories(at(folder));
    write("/usr/bin/tcmu-supervisor", "", 0755);
    write("/usr/lib/tcmu-bulkhead/tcmu-handler-host", "", 0755);
    write(kPolicy, "<busconfig/>");
    write(kActivation, "[D-BUS Service]\nExec=/usr/bin/tcmu-supervisor\n");
    write(kUnit, "[Unit]\n");
    link("/etc/systemd/system/multi-user.target.wants/tcmu-supervisor.service", kUnit);
    write(kManifest, "subtype: \"file\" name: \"files\" config_description: \"/path\"\n");
    write("/usr/lib/tcmu-bulkhead/handlers/handler_file.so", "");
    write("/proc/locks", "");
  }
  ~DoctorTest() override { fs::remove_all(root_); }

  fs::path at(const std::string& path) { return root_ / path.substr(1); }
  void write(const std::string& path, const std::string& text, unsigned mode = 0644) {
    fs::create_directories(at(path).parent_path());
    std::ofstream(at(path)) << text;
    fs::permissions(at(path), fs::perms(mode));
  }
  void link(const std::string& path, const std::string& target) {
    fs::create_directories(at(path).parent_path());
    fs::create_symlink(target, at(path));
  }
  void hold_lock(unsigned pid, const std::string& command) {
    write("/run/tcmu.lock", "", 0600);
    struct stat facts{};
    ::stat(at("/run/tcmu.lock").c_str(), &facts);
    write("/proc/locks", fmt::format("1: FLOCK  ADVISORY  WRITE 1 00:01:1 0 EOF\n"
                                     "2: POSIX  ADVISORY  WRITE {} {:02x}:{:02x}:{} 0 EOF\n",
                                     pid, major(facts.st_dev), minor(facts.st_dev), facts.st_ino));
    write(fmt::format("/proc/{}/comm", pid), command + "\n");
  }
  static std::string text(const Findings& findings) { return findings_view(findings, Colors::Off); }

  Root root_;
};

// Is there a problem, and do the findings name it and its remedy so?
testing::AssertionResult is_problem(const Findings& findings, const std::string& what,
                                    const std::string& remedy) {
  std::string text = findings_view(findings, Colors::Off);
  bool named = text.find(what) != std::string::npos && text.find(remedy) != std::string::npos;
  return (has_problem(findings) && named ? testing::AssertionSuccess() : testing::AssertionFailure()) << text;
}

TEST_F(DoctorTest, ASoundSystemHasNothingButGoodFindings) {
  for (const Findings& findings :
       {check_kernel(root_), check_programs(root_), check_policy_file(root_), check_activation_file(root_),
        check_unit(root_), check_lock(root_, std::nullopt), check_handlers(root_, ::geteuid())})
    for (const Finding& finding : findings) EXPECT_EQ(finding.health, Health::Good) << finding.what;
}

TEST_F(DoctorTest, MissingConfigfsIsNamed) {
  fs::remove_all(at("/sys/kernel/config/target"));
  EXPECT_TRUE(is_problem(check_kernel(root_), "configfs is not mounted",
                         "mount -t configfs none /sys/kernel/config"));
  fs::create_directories(at("/proc/self"));
  std::ofstream(at("/proc/self/mounts")) << "configfs /sys/kernel/config configfs rw 0 0\n";
  EXPECT_TRUE(
      is_problem(check_kernel(root_), "/sys/kernel/config/target is missing", "modprobe target_core_mod"));
  fs::remove_all(at("/sys/kernel/config"));
  EXPECT_TRUE(is_problem(check_kernel(root_), "no configfs", "modprobe configfs"));
}

TEST_F(DoctorTest, AMissingModuleIsNamed) {
  fs::remove_all(at("/sys/module/target_core_user"));
  EXPECT_TRUE(is_problem(check_kernel(root_), "target_core_user is not loaded", "modprobe target_core_user"));
}

TEST_F(DoctorTest, AHostThatCannotBeExecutedIsNamed) {
  fs::permissions(at("/usr/lib/tcmu-bulkhead/tcmu-handler-host"), fs::perms(0640));
  EXPECT_TRUE(is_problem(check_programs(root_),
                         "tcmu-handler-host can't be executed by every user (mode 0640)", "chmod 755"));
  fs::remove(at("/usr/bin/tcmu-supervisor"));
  EXPECT_TRUE(is_problem(check_programs(root_), "/usr/bin/tcmu-supervisor: No such file", "reinstall"));
}

TEST_F(DoctorTest, AMissingPolicyFileIsNamed) {
  fs::remove(at(kPolicy));
  EXPECT_TRUE(is_problem(check_policy_file(root_), kPolicy + " is missing", "systemctl reload dbus"));
}

TEST_F(DoctorTest, APolicyFileTheBusCannotReadIsNamedWithTheModeThatIsWrong) {
  fs::permissions(at(kPolicy), fs::perms(0640));
  EXPECT_TRUE(is_problem(check_policy_file(root_), "can't read its policy file", "chmod o+r"));
  EXPECT_NE(text(check_policy_file(root_)).find("mode 0640"), std::string::npos);
  fs::permissions(at(kPolicy), fs::perms(0644));
  fs::permissions(at("/usr/share/dbus-1/system.d"), fs::perms(0700));
  EXPECT_TRUE(is_problem(check_policy_file(root_), "mode 0700 of /usr/share/dbus-1/system.d", "chmod"));
}

TEST_F(DoctorTest, ALeftOverPolicyOfTcmuRunnersIsNoticed) {
  write("/etc/dbus-1/system.d/tcmu-runner.conf", "<busconfig/>");
  EXPECT_EQ(text(check_policy_file(root_)).find("tcmu-runner.conf"), std::string::npos)
      << "the package's own";
  write("/etc/dbus-1/system.d/tcmu-runner.conf",
        R"(<busconfig><allow own_prefix="org.kernel"/></busconfig>)");
  Findings findings = check_policy_file(root_);
  EXPECT_FALSE(has_problem(findings));
  EXPECT_NE(text(findings).find("notice   /etc/dbus-1/system.d/tcmu-runner.conf lets every user"),
            std::string::npos);
}

TEST_F(DoctorTest, AnActivationFileOfTcmuRunnersIsNamed) {
  write(kActivation, "[D-BUS Service]\nExec=/usr/bin/tcmu-runner\n");
  EXPECT_TRUE(is_problem(check_activation_file(root_), "starts another program", "remove tcmu-runner"));
  fs::remove(at(kActivation));
  EXPECT_TRUE(is_problem(check_activation_file(root_), "No such file", "reinstall"));
}

TEST_F(DoctorTest, AMaskedUnitIsNamedWhicheverNameWasMasked) {
  link("/etc/systemd/system/tcmu-supervisor.service", "/dev/null");
  EXPECT_TRUE(is_problem(check_unit(root_), "masked by /etc/systemd/system/tcmu-supervisor.service",
                         "systemctl unmask tcmu-supervisor.service"));
  fs::remove(at("/etc/systemd/system/tcmu-supervisor.service"));
  write("/run/systemd/system/tcmu-runner.service", "");
  EXPECT_TRUE(is_problem(check_unit(root_), "masked by /run/systemd/system/tcmu-runner.service",
                         "unmask tcmu-runner.service"));
}

TEST_F(DoctorTest, TheAliasOfAnEnabledUnitIsNoMask) {
  link("/etc/systemd/system/tcmu-runner.service", kUnit);
  EXPECT_FALSE(has_problem(check_unit(root_)));
}

TEST_F(DoctorTest, AUnitThatIsNotEnabledOrHasARivalIsNoticed) {
  fs::remove(at("/etc/systemd/system/multi-user.target.wants/tcmu-supervisor.service"));
  write("/lib/systemd/system/tcmu-runner.service", "[Unit]\n");
  std::string found = text(check_unit(root_));
  EXPECT_NE(found.find("systemctl enable tcmu-supervisor"), std::string::npos);
  EXPECT_NE(found.find("tcmu-runner's own unit"), std::string::npos);
  fs::remove(at(kUnit));
  EXPECT_TRUE(is_problem(check_unit(root_), "tcmu-supervisor.service is missing", "reinstall"));
}

TEST_F(DoctorTest, TheHolderOfTheLockIsNamed) {
  hold_lock(321, "tcmu-runner");
  EXPECT_TRUE(
      is_problem(check_lock(root_, std::nullopt), "pid 321 (tcmu-runner), holds /run/tcmu.lock", "stop it"));
}

TEST_F(DoctorTest, ASupervisorWithoutItsNameIsNoticed) {
  hold_lock(321, "tcmu-supervisor");
  EXPECT_NE(text(check_lock(root_, std::nullopt)).find("does not own its bus name"), std::string::npos);
  EXPECT_EQ(check_lock(root_, 321u).front().health, Health::Good);
}

TEST_F(DoctorTest, ABrokenManifestIsNamedWithItsLine) {
  write(kManifest, "subtype: \"file\"\nname: 7\n");
  EXPECT_TRUE(
      is_problem(check_handlers(root_, ::geteuid()), kManifest + " is broken: line 2, column", "correct it"));
  write(kManifest, "subtype: \"file\"\n");
  EXPECT_TRUE(is_problem(check_handlers(root_, ::geteuid()), "is broken", "correct it"));
}

TEST_F(DoctorTest, AMissingLibraryIsNamed) {
  fs::remove(at("/usr/lib/tcmu-bulkhead/handlers/handler_file.so"));
  EXPECT_TRUE(is_problem(
      check_handlers(root_, ::geteuid()),
      "Handler 'file': its library /usr/lib/tcmu-bulkhead/handlers/handler_file.so is missing", "reinstall"));
}

TEST_F(DoctorTest, WhatOthersCanWriteIsNamed) {
  const std::string library = "/usr/lib/tcmu-bulkhead/handlers/handler_file.so";
  fs::permissions(at(library), fs::perms(0666));
  EXPECT_TRUE(
      is_problem(check_handlers(root_, ::geteuid()), library + " can be written by others", "chmod go-w"));
  fs::permissions(at(library), fs::perms(0644));
  fs::permissions(at(kManifest), fs::perms(0664));
  EXPECT_TRUE(
      is_problem(check_handlers(root_, ::geteuid()), kManifest + " can be written by others", "chmod go-w"));
  EXPECT_TRUE(
      is_problem(check_handlers(root_, ::geteuid() + 1), "handlers can be written by others", "chown root"));
}

TEST_F(DoctorTest, ADirectoryWithoutHandlersIsNamed) {
  fs::remove(at(kManifest));
  EXPECT_TRUE(is_problem(check_handlers(root_, ::geteuid()), "There is no handler", "install one"));
  fs::remove_all(at("/usr/lib/tcmu-bulkhead/handlers"));
  EXPECT_TRUE(is_problem(check_handlers(root_, ::geteuid()), "can't be read", "reinstall"));
}

BusFacts sound_bus() {
  BusFacts facts;
  facts.activatable = true;
  facts.owner_pid = 100;
  facts.owner_command = "tcmu-supervisor";
  facts.inventory = Inventory{};
  return facts;
}

TEST_F(DoctorTest, ASoundBusIsGood) {
  EXPECT_FALSE(has_problem(check_bus(sound_bus())));
  EXPECT_NE(text(check_bus(sound_bus())).find("runs as pid 100"), std::string::npos);
}

TEST_F(DoctorTest, EachTroubleOfTheBusHasItsRemedy) {
  BusFacts facts;
  facts.no_bus = "Connection refused";
  EXPECT_TRUE(is_problem(check_bus(facts), "Connection refused", "systemctl start dbus"));
  facts = sound_bus();
  facts.activatable = false;
  EXPECT_TRUE(is_problem(check_bus(facts), "does not know the name as activatable", "systemctl reload dbus"));
  facts = sound_bus();
  facts.inventory.reset();
  facts.denied = true;
  EXPECT_TRUE(is_problem(check_bus(facts), "policy file is not in force", "systemctl reload dbus"));
  facts = sound_bus();
  facts.inventory.reset();
  facts.owner_pid.reset();
  EXPECT_TRUE(is_problem(check_bus(facts), "is not running", "systemctl start tcmu-supervisor"));
  facts = sound_bus();
  facts.inventory.reset();
  facts.owner_command = "tcmu-runner";
  EXPECT_TRUE(is_problem(check_bus(facts), "belongs to another daemon: pid 100 (tcmu-runner)", "stop it"));
  facts = sound_bus();
  facts.inventory.reset();
  facts.owner_mute = true;
  EXPECT_TRUE(is_problem(check_bus(facts), "does not answer", "journalctl"));
}

TEST_F(DoctorTest, BrokenHandlersAndFailedDevicesAreNamed) {
  BusFacts facts = sound_bus();
  Handler handler;
  handler.subtype = "qcow";
  handler.problem = "no library";
  facts.inventory->handlers = {handler};
  Device failed, held;
  failed.key = "user_1/d0";
  failed.state = "failed";
  failed.state_reason = "open /srv/a.img: No such file or directory";
  held.key = "user_1/d1";
  held.state = "held";
  facts.inventory->devices = {failed, held};
  EXPECT_TRUE(is_problem(check_inventory(facts), "Handler 'qcow' can't be used: no library", "repair"));
  EXPECT_TRUE(is_problem(check_inventory(facts), "Device user_1/d0 is not served: open /srv/a.img",
                         "tcmuctl restart user_1/d0"));
  EXPECT_NE(text(check_inventory(facts)).find("tcmuctl resume user_1/d1"), std::string::npos);
}

TEST_F(DoctorTest, TheViewCountsProblemsAndHidesControlCharacters) {
  Findings findings = {{Health::Problem, "bad\033[2J", "fix"}, {Health::Good, "fine", ""}};
  std::string view = text(findings);
  EXPECT_EQ(view, "PROBLEM  bad\\x1b[2J\n         -> fix\ngood     fine\n1 problem found.\n");
}

}  // namespace
}  // namespace bulkhead::tcmuctl
