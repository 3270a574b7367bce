#include "supervisor/config/manifests.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace bulkhead::supervisor {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

constexpr const char* kGood = "subtype: 'file'\nname: 'files'\nconfig_description: 'PATH'\n";

class ManifestsTest : public testing::Test {
 protected:
  ManifestsTest() : folder_(std::filesystem::path(testing::TempDir()) / "handlers") {
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
    ::chmod(folder_.c_str(), 0755);
  }
  std::filesystem::path put(const std::string& file, const std::string& text) {
    const std::filesystem::path path = folder_ / file;
    std::ofstream(path) << text;
    ::chmod(path.c_str(), 0644);
    return path;
  }
  HandlerRegistry load() {
    Result<HandlerRegistry> loaded = load_manifests(folder_, ::getuid());
    EXPECT_TRUE(loaded.has_value()) << loaded.error().what;
    return loaded.value_or(HandlerRegistry());
  }
  // Of a folder with a good library and this one manifest.
  std::string problem_of(const std::string& manifest) {
    put("handler_file.so", "");
    put("file.textproto", manifest);
    return load().all().at(0).problem;
  }
  std::filesystem::path folder_;
};

TEST_F(ManifestsTest, GoodManifestIsUsableWithItsDefaultLibraryAndLimits) {
  put("handler_file.so", "");
  put("file.textproto", kGood);
  const HandlerRegistry registry = load();
  const Handler* file = registry.find("file");
  ASSERT_NE(file, nullptr);
  EXPECT_THAT(file->problem, IsEmpty());
  EXPECT_EQ(file->library, folder_ / "handler_file.so");
  EXPECT_EQ(file->manifest.limits().open_seconds(), 20u);
}

TEST_F(ManifestsTest, OnlyTheWholeSubtypeFindsAndTheOldPrefixRuleIsKnownApart) {
  put("handler_file.so", "");
  put("file.textproto", kGood);
  const HandlerRegistry registry = load();
  for (const char* part : {"", "f", "fil", "files"}) EXPECT_EQ(registry.find(part), nullptr) << part;
  EXPECT_EQ(registry.tcmu_runner_would_take("f"), registry.find("file"));
  EXPECT_EQ(registry.tcmu_runner_would_take(""), registry.find("file"));
  EXPECT_EQ(registry.tcmu_runner_would_take("files"), nullptr);
}

TEST_F(ManifestsTest, SyntaxErrorIsReportedWithFileAndLineAndCostsNoOtherHandler) {
  put("handler_file.so", "");
  put("file.textproto", kGood);
  put("broken.textproto", "subtype: 'broken'\nname: 'x'\nconfig_descriptio: 'y'\n");
  const HandlerRegistry registry = load();
  EXPECT_THAT(registry.find("file")->problem, IsEmpty());
  const Handler* broken = registry.find("broken");
  ASSERT_NE(broken, nullptr);
  EXPECT_THAT(broken->problem, HasSubstr("broken.textproto: line 3: "));
  EXPECT_THAT(broken->problem, HasSubstr("config_descriptio"));
}

TEST_F(ManifestsTest, EveryBadFieldIsNamed) {
  const std::string rest = "name: 'x' config_description: 'y' ";
  EXPECT_THAT(problem_of("subtype: 'File' " + rest), HasSubstr("subtype \"File\""));
  EXPECT_THAT(problem_of("subtype: '' " + rest), HasSubstr("subtype"));
  EXPECT_THAT(problem_of("subtype: '" + std::string(32, 'a') + "' " + rest), HasSubstr("at most 31"));
  EXPECT_THAT(problem_of(rest), HasSubstr("subtype"));
  EXPECT_THAT(problem_of("subtype: 'file' name: 'x' config_description: 'a\\nb'"), HasSubstr("not one line"));
  EXPECT_THAT(problem_of("subtype: 'file' name: '\\377' config_description: 'a'"), HasSubstr("\\xff"));
  EXPECT_THAT(problem_of("subtype: 'file' library: '../x.so' " + rest), HasSubstr("library \"../x.so\""));
  EXPECT_THAT(problem_of("subtype: 'file' limits { commands: 100 } " + rest),
              HasSubstr("not a power of two"));
  EXPECT_THAT(problem_of("subtype: 'file' limits { open_seconds: 0 } " + rest),
              HasSubstr("limits.open_seconds is 0"));
  EXPECT_THAT(problem_of("subtype: 'file' limits { data_mebibytes: 9999 } " + rest),
              HasSubstr("data_mebibytes"));
  for (const char* path : {"etc/ceph", "", "/", "//"})
    EXPECT_THAT(problem_of(std::string("subtype: 'file' needs { path: '") + path + "' } " + rest),
                HasSubstr("is not an absolute path below /"));
  EXPECT_THAT(problem_of("subtype: 'file' needs { syscall: 'open,close' } " + rest),
              HasSubstr("is no name of a system call"));
  EXPECT_THAT(problem_of(std::string(70'000, '#')), HasSubstr("larger than 64 KiB"));
}

TEST_F(ManifestsTest, SecondManifestOfASubtypeIsRefusedAndTheFirstServes) {
  put("handler_file.so", "");
  put("a.textproto", kGood);
  put("b.textproto", kGood);
  const HandlerRegistry registry = load();
  EXPECT_THAT(registry.find("file")->problem, IsEmpty());
  EXPECT_THAT(registry.all().at(1).problem, HasSubstr("another manifest's too"));
}

TEST_F(ManifestsTest, MissingLibraryIsNamed) {
  put("file.textproto", kGood);
  EXPECT_THAT(load().find("file")->problem, HasSubstr("handler_file.so: No such file"));
}

TEST_F(ManifestsTest, WhatOthersCanWriteOrOwnIsNotRun) {
  const auto library = put("handler_file.so", "");
  const auto manifest = put("file.textproto", kGood);
  ::chmod(library.c_str(), 0664);
  EXPECT_THAT(load().find("file")->problem, HasSubstr("can be written by others"));
  ::chmod(library.c_str(), 0644);
  ::chmod(manifest.c_str(), 0646);
  EXPECT_THAT(load().find("file")->problem, HasSubstr("file.textproto can be written by others"));
  ::chmod(manifest.c_str(), 0644);
  EXPECT_THAT(load().find("file")->problem, IsEmpty());
  ::chmod(folder_.c_str(), 0775);
  EXPECT_EQ(load_manifests(folder_, ::getuid()).error().cause, Cause::Denied);
  ::chmod(folder_.c_str(), 0755);
  EXPECT_THAT(load_manifests(folder_, ::getuid() + 1).error().what, HasSubstr("chown"));
}

TEST_F(ManifestsTest, OtherFilesAndAnEmptyFolderAreNoHandlers) {
  put("handler_file.so.bak", "");
  put("file.textproto~", kGood);
  EXPECT_THAT(load().all(), IsEmpty());
  std::filesystem::create_directory(folder_ / "d.textproto");
  EXPECT_THAT(load().all().at(0).problem, HasSubstr("not a regular file"));
}

TEST_F(ManifestsTest, MissingFolderIsAnError) {
  EXPECT_EQ(load_manifests(folder_ / "none", ::getuid()).error().cause, Cause::NotFound);
}

TEST(SplitDevConfig, FirstSlashDivides) {
  EXPECT_EQ(split_dev_config("file//srv/a").subtype, "file");
  EXPECT_EQ(split_dev_config("file//srv/a").config, "/srv/a");
  EXPECT_EQ(split_dev_config("/x").subtype, "");
  EXPECT_EQ(split_dev_config("file").subtype, "file");
  EXPECT_EQ(split_dev_config("file").config, "");
  EXPECT_EQ(split_dev_config("").subtype, "");
}

}  // namespace
}  // namespace bulkhead::supervisor
