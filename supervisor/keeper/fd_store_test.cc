// An AF_UNIX datagram socket stands for systemd's; what it must see is told in sd_notify(3).
#include "supervisor/keeper/fd_store.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <thread>

namespace bulkhead::supervisor {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

struct Notification {
  std::string text;
  UniqueFd fd;
};

// Bazel's folders have names too long for a socket.
std::string socket_path(const std::string& name) {
  return "/tmp/" + name + "-" + std::to_string(::getpid());
}

class Systemd {
 public:
  explicit Systemd(bool abstract)
      : path_(abstract ? "@bulkhead-fd-store-test-" + std::to_string(::getpid())
                       : socket_path("bulkhead-notify")),
        socket_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path_.copy(address.sun_path, sizeof address.sun_path - 1);
    if (abstract) address.sun_path[0] = '\0';
    const auto length = offsetof(sockaddr_un, sun_path) + path_.size() + (abstract ? 0 : 1);
    EXPECT_EQ(
        ::bind(socket_.get(), reinterpret_cast<const sockaddr*>(&address), static_cast<socklen_t>(length)), 0)
        << std::strerror(errno);
  }
  ~Systemd() {
    if (path_[0] == '/') ::unlink(path_.c_str());
  }
  Systemd(const Systemd&) = delete;
  Systemd& operator=(const Systemd&) = delete;

  std::optional<Notification> read() const {
    std::string text(4096, '\0');
    iovec part{text.data(), text.size()};
    alignas(cmsghdr) std::array<std::byte, 256> buffer{};
    msghdr header{};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = buffer.data();
    header.msg_controllen = buffer.size();
    const ssize_t got = ::recvmsg(socket_.get(), &header, MSG_CMSG_CLOEXEC);
    if (got < 0) return std::nullopt;
    text.resize(static_cast<std::size_t>(got));
    UniqueFd fd;
    if (const cmsghdr* rights = CMSG_FIRSTHDR(&header); rights != nullptr) {
      int number = -1;
      std::memcpy(&number, CMSG_DATA(rights), sizeof number);
      fd.reset(number);
    }
    return Notification{text, std::move(fd)};
  }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
  UniqueFd socket_;
};

bool same_file(const UniqueFd& one, const UniqueFd& other) {
  struct stat a{}, b{};
  return ::fstat(one.get(), &a) == 0 && ::fstat(other.get(), &b) == 0 && a.st_ino == b.st_ino &&
         a.st_dev == b.st_dev;
}

UniqueFd temporary_file() {
  return UniqueFd(::open(::testing::TempDir().c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
}

class FdStoreTest : public ::testing::TestWithParam<bool> {
 protected:
  Systemd systemd{GetParam()};
  FdStore store{systemd.path()};
};

TEST_P(FdStoreTest, KeepsACopyUnderItsNameAlsoWhenItsOtherEndIsGone) {
  const UniqueFd file = temporary_file();
  ASSERT_TRUE(store.keep("lun7.journal", file));
  const auto got = systemd.read();
  ASSERT_TRUE(got);
  EXPECT_EQ(got->text, "FDSTORE=1\nFDNAME=lun7.journal\nFDPOLL=0");
  EXPECT_TRUE(same_file(got->fd, file));
}

TEST_P(FdStoreTest, DropsByName) {
  ASSERT_TRUE(store.drop("lun7.uio"));
  const auto got = systemd.read();
  ASSERT_TRUE(got);
  EXPECT_EQ(got->text, "FDSTOREREMOVE=1\nFDNAME=lun7.uio");
  EXPECT_FALSE(got->fd);
}

INSTANTIATE_TEST_SUITE_P(PathAndAbstract, FdStoreTest, ::testing::Bool());

TEST(FdStore, WithoutSystemdNothingIsKeptAndNothingIsWrong) {
  const FdStore store("");
  EXPECT_FALSE(store.available());
  EXPECT_TRUE(store.keep("lun7.journal", temporary_file()));
  EXPECT_TRUE(store.drop("lun7.journal"));
}

TEST(FdStore, IsTheOneOfTheEnvironment) {
  const Systemd systemd(false);
  ::setenv("NOTIFY_SOCKET", systemd.path().c_str(), 1);
  const FdStore store = FdStore::from_environment();
  ::unsetenv("NOTIFY_SOCKET");
  EXPECT_TRUE(store.available());
  EXPECT_TRUE(store.drop("lun7.uio"));
  EXPECT_TRUE(systemd.read());
  EXPECT_FALSE(FdStore::from_environment().available());
}

TEST(FdStore, ASystemdThatDoesNotReadCostsNoMoreThanThePatience) {
  const Systemd systemd(false);
  const FdStore store(systemd.path(), 50ms);
  const UniqueFd file = temporary_file();
  Result<> kept;
  const auto begun = std::chrono::steady_clock::now();
  int sent = 0;
  for (; kept && sent < 10'000; ++sent) kept = store.keep("lun7.data", file);
  ASSERT_FALSE(kept);
  EXPECT_EQ(kept.error().cause, Cause::TimedOut);
  EXPECT_THAT(kept.error().what, HasSubstr(systemd.path()));
  EXPECT_LT(std::chrono::steady_clock::now() - begun, 10s);
  // What was sent before is there, and there is room again.
  int read = 0;
  while (systemd.read()) ++read;
  EXPECT_EQ(read, sent - 1);
  EXPECT_TRUE(store.keep("lun7.data", file));
}

TEST(FdStore, ASystemdThatIsGoneIsAnError) {
  const FdStore store(socket_path("bulkhead-nobody-reads-this"));
  const auto kept = store.drop("lun7.data");
  ASSERT_FALSE(kept);
  EXPECT_EQ(kept.error().sys_errno, ENOENT);
}

TEST(FdStore, ANameThatWouldBeAnotherAssignmentIsRefused) {
  const Systemd systemd(false);
  const FdStore store(systemd.path());
  for (const std::string& name : {std::string("x\nMAINPID=1"), std::string(""), std::string("a:b"),
                                  std::string(256, 'x'), std::string("\xc3\xa4")}) {
    EXPECT_FALSE(store.keep(name, temporary_file())) << name;
    EXPECT_FALSE(store.drop(name)) << name;
  }
  EXPECT_FALSE(systemd.read());
}

TEST(FdStore, ASocketNameThatIsNoneIsRefused) {
  for (const std::string& name : {std::string("relative"), "/" + std::string(200, 'x')})
    EXPECT_EQ(FdStore(name).drop("x").error().cause, Cause::BadInput) << name;
}

// As systemd starts us: descriptors from 3 on, and three variables. In a child, as the numbers are fixed.
template <class Look>
int in_started_child(const std::string& count, const std::string& names, Look look) {
  const pid_t child = ::fork();
  if (child == 0) {
    const UniqueFd one = temporary_file(), two = temporary_file();
    const int high_one = ::fcntl(one.get(), F_DUPFD, 100), high_two = ::fcntl(two.get(), F_DUPFD, 100);
    ::dup2(high_one, 3);
    ::dup2(high_two, 4);
    ::setenv("LISTEN_PID", std::to_string(::getpid()).c_str(), 1);
    ::setenv("LISTEN_FDS", count.c_str(), 1);
    ::setenv("LISTEN_FDNAMES", names.c_str(), 1);
    ::_exit(look(UniqueFd(high_one), UniqueFd(high_two)));
  }
  int status = -1;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

TEST(FdStore, WhatWasKeptComesBackByNameAndIsNobodyElses) {
  const int result = in_started_child("2", "lun7.journal:lun7.pidfd", [](UniqueFd one, UniqueFd two) {
    auto kept = FdStore::take_kept();
    if (!kept || kept->size() != 2) return 1;
    if ((*kept)[0].name != "lun7.journal" || (*kept)[1].name != "lun7.pidfd") return 2;
    if (!same_file((*kept)[0].fd, one) || !same_file((*kept)[1].fd, two)) return 3;
    for (const KeptFd& each : *kept)
      if (::fcntl(each.fd.get(), F_GETFD) != FD_CLOEXEC) return 4;
    for (const char* name : {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"})
      if (std::getenv(name) != nullptr) return 5;
    kept->clear();
    return ::fcntl(3, F_GETFD) == -1 ? 0 : 6;  // they were ours
  });
  EXPECT_EQ(result, 0);
}

TEST(FdStore, AFirstStartHasNothingKept) {
  const auto kept = FdStore::take_kept();
  ASSERT_TRUE(kept);
  EXPECT_TRUE(kept->empty());
}

TEST(FdStore, AnEnvironmentThatMakesNoSenseIsAnErrorAndIsForgotten) {
  const int result = in_started_child("2", "only-one", [](UniqueFd, UniqueFd) {
    const auto kept = FdStore::take_kept();
    return !kept && kept.error().cause == Cause::PeerBroken && std::getenv("LISTEN_FDS") == nullptr ? 0 : 1;
  });
  EXPECT_EQ(result, 0);
}

TEST(FdStore, SettlesWhenSystemdHasClosedTheBarrier) {
  const Systemd systemd(true);
  const FdStore store(systemd.path(), 10s);
  std::thread manager([&systemd] {
    std::optional<Notification> seen;
    while (!(seen = systemd.read())) std::this_thread::yield();
    EXPECT_EQ(seen->text, "BARRIER=1");
    EXPECT_TRUE(seen->fd);
  });
  EXPECT_TRUE(store.settle());
  manager.join();
}

TEST(FdStore, DoesNotWaitForEverForABarrier) {
  const Systemd systemd(true);
  EXPECT_EQ(FdStore(systemd.path(), 50ms).settle().error().cause, Cause::TimedOut);
  EXPECT_TRUE(FdStore("").settle()) << "nothing to wait for";
}

}  // namespace
}  // namespace bulkhead::supervisor
