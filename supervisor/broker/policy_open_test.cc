#include "supervisor/broker/policy_open.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <filesystem>
#include <fstream>

namespace bulkhead::supervisor {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;

class PolicyOpen : public ::testing::Test {
 protected:
  PolicyOpen() {
    fs::remove_all(top_);
    fs::create_directories(top_ / "srv/deep");
    fs::create_directories(top_ / "srv2");
    put("srv/a.img");
    put("srv/deep/b.img");
    put("srv2/c.img");
    put("secret");
  }
  void put(const std::string& name) const { std::ofstream(top_ / name) << "data"; }
  void link(const std::string& target, const std::string& name) const {
    fs::create_symlink(target, top_ / name);
  }
  [[nodiscard]] std::string at(const std::string& name) const { return (top_ / name).string(); }
  // 0 or the errno
  [[nodiscard]] int open(const std::string& name, Symlinks symlinks = Symlinks::Follow) const {
    return open_path(at(name), symlinks);
  }
  [[nodiscard]] int open_path(const std::string& path, Symlinks symlinks = Symlinks::Follow) const {
    auto fd = open_by_policy({.roots = roots_, .symlinks = symlinks}, path, O_RDONLY);
    if (fd) return 0;
    what_ = fd.error().what;
    return fd.error().sys_errno;
  }

  const fs::path top_ = fs::path(::testing::TempDir()) / "policy_open";
  std::optional<std::vector<std::string>> roots_ = {{at("srv")}};
  mutable std::string what_;
};

TEST_F(PolicyOpen, OnlyWhatIsInAFolderThatIsAllowed) {
  EXPECT_EQ(open("srv/a.img"), 0);
  EXPECT_EQ(open("srv/deep/b.img"), 0);
  EXPECT_EQ(open_path(at("srv") + "//a.img"), 0);
  EXPECT_EQ(open("srv/none.img"), ENOENT);
  EXPECT_EQ(open("secret"), EXDEV);
  EXPECT_THAT(what_,
              AllOf(HasSubstr("secret is in no folder"), HasSubstr("file_roots"), HasSubstr(at("srv"))));
  EXPECT_EQ(open("srv2/c.img"), EXDEV) << "its name only begins alike";
}

TEST_F(PolicyOpen, AnyOfSeveralFolders) {
  roots_ = {{at("srv"), at("srv2")}};
  EXPECT_EQ(open("srv/a.img"), 0);
  EXPECT_EQ(open("srv2/c.img"), 0);
  EXPECT_EQ(open("secret"), EXDEV);
}

TEST_F(PolicyOpen, LinkMustNotLeadOut) {
  link("deep/b.img", "srv/inside.img");
  link("../secret", "srv/outside.img");
  link(at("srv/a.img"), "srv/absolute.img");
  link("../../srv2", "srv/deep/folder");
  EXPECT_EQ(open("srv/inside.img"), 0);
  EXPECT_EQ(open("srv/outside.img"), EXDEV);
  EXPECT_THAT(what_, HasSubstr("leads out of its folder"));
  EXPECT_EQ(open("srv/absolute.img"), EXDEV);
  EXPECT_EQ(open("srv/deep/folder/c.img"), EXDEV);
  EXPECT_EQ(open("srv/deep/../../secret"), EXDEV);
  EXPECT_EQ(open("srv/deep/../a.img"), 0);
}

TEST_F(PolicyOpen, LinkOutOfTheInnerFolderMayStayInTheOuter) {
  link("../a.img", "srv/deep/up.img");
  roots_ = {{at("srv/deep"), at("srv")}};
  EXPECT_EQ(open("srv/deep/up.img"), 0);
  roots_ = {{at("srv/deep")}};
  EXPECT_EQ(open("srv/deep/up.img"), EXDEV);
}

TEST_F(PolicyOpen, LinksAreRefusedWhereThatIsAsked) {
  link("deep/b.img", "srv/inside.img");
  EXPECT_EQ(open("srv/inside.img", Symlinks::Refuse), ELOOP);
  EXPECT_THAT(what_, HasSubstr("file_symlinks"));
  EXPECT_EQ(open("srv/a.img", Symlinks::Refuse), 0);
  roots_.reset();
  EXPECT_EQ(open("srv/inside.img"), 0);
  EXPECT_EQ(open("srv/inside.img", Symlinks::Refuse), ELOOP);
}

TEST_F(PolicyOpen, FolderItselfMayBeReachedByALink) {
  link("srv", "alias");
  roots_ = {{at("alias")}};
  EXPECT_EQ(open("alias/a.img"), 0);
  EXPECT_EQ(open("alias/a.img", Symlinks::Refuse), 0);
}

TEST_F(PolicyOpen, RootIsEverywhereAndNoneIsNowhere) {
  link(at("secret"), "srv/absolute");
  roots_ = {{"/"}};
  EXPECT_EQ(open("srv/absolute"), 0);
  roots_ = {std::vector<std::string>()};
  EXPECT_EQ(open("srv/a.img"), EXDEV);
  EXPECT_THAT(what_, HasSubstr("allows: none"));
}

TEST_F(PolicyOpen, FolderThatIsMissingIsNamed) {
  roots_ = {{at("gone")}};
  EXPECT_EQ(open("gone/a.img"), ENOENT);
  EXPECT_THAT(what_, AllOf(HasSubstr("gone, one of file_roots")));
}

TEST_F(PolicyOpen, MagicLinkIsRefusedAlways) {
  roots_.reset();
  EXPECT_EQ(open_path("/proc/self/exe"), ELOOP);
  roots_ = {{"/"}};
  EXPECT_EQ(open_path("/proc/self/exe"), ELOOP);
  roots_ = {{"/proc/self"}};
  EXPECT_EQ(open_path("/proc/self/exe"), ELOOP);
}

}  // namespace
}  // namespace bulkhead::supervisor
