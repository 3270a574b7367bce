#include "supervisor/config/settings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace bulkhead::supervisor {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class SettingsTest : public testing::Test {
 protected:
  SettingsTest() { std::filesystem::remove(path_); }
  void write(const std::string& text) const { std::ofstream(path_) << text; }
  LoadedSettings load(CommandLine line = {}, std::optional<std::string> environment = {}) const {
    return SettingsLoader(path_, std::move(line), std::move(environment)).load();
  }
  const std::string path_ = testing::TempDir() + "/settings.conf";
};

TEST_F(SettingsTest, WithoutAnythingThereAreDefaultsAndNoComplaints) {
  const LoadedSettings loaded = load();
  EXPECT_EQ(loaded.settings, Settings());
  EXPECT_EQ(loaded.settings.log_level, Level::Info);
  EXPECT_EQ(loaded.settings.log_directory, std::nullopt);
  EXPECT_THAT(loaded.warnings, IsEmpty());
}

TEST_F(SettingsTest, FileBeatsCommandLineBeatsEnvironment) {
  EXPECT_EQ(load({}, "/env").settings.log_directory, "/env");
  EXPECT_EQ(load({.log_directory = "/line"}, "/env").settings.log_directory, "/line");
  EXPECT_EQ(load({.debug = true}).settings.log_level, Level::DebugScsi);
  write("log_dir = \"/file\"\nlog_level = 1\n");
  const Settings settings = load({.debug = true, .log_directory = "/line"}, "/env").settings;
  EXPECT_EQ(settings.log_directory, "/file");
  EXPECT_EQ(settings.log_level, Level::Error);
}

TEST_F(SettingsTest, LaterLineOfOneKeyWinsAndEmptyLogDirMeansNoFile) {
  write("log_dir = /a\nlog_level = 4\nlog_dir = ''\nlog_level = 2");
  const Settings settings = load({.log_directory = "/line"}).settings;
  EXPECT_EQ(settings.log_directory, std::nullopt);
  EXPECT_EQ(settings.log_level, Level::Warning);
}

TEST_F(SettingsTest, BadValuesAreToldWithFileAndLineAndTheRestIsTaken) {
  write("log_level = 99\nlog_dir = relative\nhost_uid_base = many\nlog_level\n[x]\n");
  const LoadedSettings loaded = load();
  EXPECT_EQ(loaded.settings.log_level, Level::DebugScsi);
  EXPECT_EQ(loaded.settings.log_directory, std::nullopt);
  EXPECT_EQ(loaded.settings.host_uid_base, Settings().host_uid_base);
  EXPECT_THAT(loaded.warnings, ElementsAre(HasSubstr(path_ + ": line 5: [x] is no device's"),
                                           HasSubstr("line 1: log_level is 99, not within 0 to 5"),
                                           HasSubstr("line 2: log_dir wants an absolute path"),
                                           HasSubstr("line 3: host_uid_base wants a number"),
                                           HasSubstr("line 4: log_level without")));
}

TEST_F(SettingsTest, NumbersAreReadAsTcmuRunnerDidAndBounded) {
  write("log_level = \"4\"\nhost_uid_base = 5\n");
  EXPECT_EQ(load().settings.log_level, Level::Debug);
  EXPECT_EQ(load().settings.host_uid_base, 65536u);
  write("log_level = 4 or so\nhost_uid_base = 99999999999999999999\n");
  EXPECT_EQ(load().settings.log_level, Level::Debug);
  EXPECT_EQ(load().settings.host_uid_base, Settings().host_uid_base);
  EXPECT_EQ(load().warnings.size(), 2u);
}

TEST_F(SettingsTest, UnknownKeyIsToldOnceHoweverOftenTheFileIsRead) {
  write("colour = blue\ncolour = red\n");
  SettingsLoader loader(path_, {}, {});
  EXPECT_THAT(loader.load().warnings, ElementsAre(HasSubstr("line 1: unknown key \"colour\"")));
  EXPECT_THAT(loader.load().warnings, IsEmpty());
  write("colour = blue\nflavour = sour\n");
  EXPECT_THAT(loader.load().warnings, ElementsAre(HasSubstr("flavour")));
}

TEST_F(SettingsTest, KeyThatIsCommentedOutReturnsToItsDefaultOnReload) {
  write("log_level = 5\n");
  SettingsLoader loader(path_, {}, {});
  EXPECT_EQ(loader.load().settings.log_level, Level::DebugScsi);
  write("# log_level = 5\n");
  EXPECT_EQ(loader.load().settings.log_level, Level::Info);
}

TEST_F(SettingsTest, AnUnreadableFileIsTold) {
  const LoadedSettings loaded = SettingsLoader(testing::TempDir(), {}, {}).load();
  EXPECT_EQ(loaded.settings, Settings());
  EXPECT_TRUE(loaded.unread);
  EXPECT_THAT(loaded.warnings, ElementsAre(HasSubstr("not a regular file")));
}

TEST_F(SettingsTest, SectionsAreAboutDevicesAndHoldNothingElse) {
  write(
      "on_failure = error\n[user_1/d0]\non_failure = hold\nlog_level = 1\ncolour = red\n[other]\non_failure "
      "= hold\n"
      "[]\non_failure = hold\n");
  const LoadedSettings loaded = load();
  EXPECT_EQ(loaded.settings.devices.of("user_1/d0").on_failure, OnFailure::Hold);
  EXPECT_EQ(loaded.settings.devices.of("user_0/d0").on_failure, OnFailure::Error);
  EXPECT_EQ(loaded.settings.log_level, Level::Info);
  EXPECT_THAT(loaded.warnings,
              ElementsAre(HasSubstr("line 6: [other] is no device's"), HasSubstr("line 8: [] is no device's"),
                          HasSubstr("line 4: log_level can't be set for one device"),
                          HasSubstr("line 5: unknown key \"colour\"")));
}

TEST_F(SettingsTest, RelativeEnvironmentPathIsTold) {
  EXPECT_THAT(load({}, "here").warnings, ElementsAre(HasSubstr("TCMU_LOGDIR")));
  EXPECT_THAT(load({}, "").warnings, IsEmpty());
}

TEST_F(SettingsTest, OnlyWhatNeedsARestartIsNamed) {
  Settings after;
  after.log_level = Level::Debug;
  after.log_directory = "/a";
  EXPECT_THAT(needs_restart(Settings(), after), IsEmpty());
  after.host_uid_base = 100'000;
  EXPECT_THAT(needs_restart(Settings(), after), ElementsAre("host_uid_base"));
}

}  // namespace
}  // namespace bulkhead::supervisor
