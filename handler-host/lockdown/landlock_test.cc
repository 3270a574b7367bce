#include "handler-host/lockdown/landlock.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <netinet/in.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>

#include "handler-host/lockdown/child_for_tests.h"

namespace bulkhead::host {
namespace {

std::string did(long result) {
  return result >= 0 ? "done" : errno_text(errno);
}

class Landlock : public ::testing::Test {
 protected:
  void SetUp() override {
    const ChildEnd end = under({{"/"}, true}, [] { return std::string("there"); });
    // A kernel without Landlock: the error says so.
    if (end.said != "there") GTEST_SKIP() << end.said;
    std::string pattern = "/tmp/landlock-XXXXXX";
    folder = ::mkdtemp(pattern.data());
    std::ofstream(folder + "/file") << "x";
  }
  void TearDown() override {
    if (!folder.empty()) std::filesystem::remove_all(folder);
  }
  static ChildEnd under(const LandlockRules& rules, const std::function<std::string()>& act) {
    return in_child([&] {
      ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
      auto done = restrict_by_landlock(rules);
      return done ? act() : done.error().what;
    });
  }
  std::string folder;
};

TEST_F(Landlock, LeavesReadingBelowWhatIsNamed) {
  const auto read = [this] {
    return fmt::format("{}, {}, {}", did(::open((folder + "/file").c_str(), O_RDONLY)),
                       did(::open(folder.c_str(), O_RDONLY | O_DIRECTORY)),
                       did(::open("/etc/passwd", O_RDONLY)));
  };
  EXPECT_EQ(under({{folder}}, read).said, "done, done, Permission denied");
  EXPECT_EQ(under({{folder + "/file"}}, read).said, "done, Permission denied, Permission denied");
  EXPECT_EQ(under({}, read).said, "Permission denied, Permission denied, Permission denied");
  EXPECT_EQ(in_child(read).said, "done, done, done");
}

TEST_F(Landlock, LeavesNoWritingAnywhere) {
  const auto write = [this] {
    std::string all = did(::open((folder + "/file").c_str(), O_WRONLY));
    all += ", " + did(::mkdir((folder + "/new").c_str(), 0700));
    return all + ", " + did(::unlink((folder + "/file").c_str()));
  };
  EXPECT_EQ(under({{folder}}, write).said, "Permission denied, Permission denied, Permission denied");
  EXPECT_EQ(in_child(write).said, "done, done, done");
}

TEST_F(Landlock, AddsUp) {
  EXPECT_EQ(under({{folder}},
                  [this] {
                    if (auto done = restrict_by_landlock({}); !done) return done.error().what;
                    return did(::open((folder + "/file").c_str(), O_RDONLY));
                  })
                .said,
            "Permission denied");
}

TEST_F(Landlock, LeavesWhatIsOpenAlone) {
  const int low = ::open((folder + "/file").c_str(), O_RDWR);
  const int fd = ::fcntl(low, F_DUPFD, 50);  // not where the child speaks
  ::close(low);
  EXPECT_EQ(under({}, [fd] { return did(::pwrite(fd, "y", 1, 0)) + ", " + did(::ftruncate(fd, 10)); }).said,
            "done, done");
  ::close(fd);
}

TEST_F(Landlock, LeavesNoTcpUnlessAskedFor) {
  const auto listens = [] {
    const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in any{};
    any.sin_family = AF_INET;
    any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return did(::bind(fd, reinterpret_cast<const sockaddr*>(&any), sizeof any));
  };
  EXPECT_EQ(under({.network = true}, listens).said, "done");
  const auto version = ::syscall(SYS_landlock_create_ruleset, nullptr, 0, 1);
  EXPECT_EQ(under({}, listens).said, version >= 4 ? "Permission denied" : "done");
}

}  // namespace
}  // namespace bulkhead::host
