// What a hostile host could have the file handler's ring do for it. The test maps the engine's ring a second
// time and submits by itself; a twin without limits shows what the same does there.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <filesystem>
#include <functional>
#include <string>

#include "base/unique_fd.h"
#include "handler-host/handlers/file/uring_engine.h"

namespace bulkhead::handler {
namespace {

// Remembers which descriptor the engine waits for: the ring's.
class RingFinder final : public Services {
 public:
  Result<UniqueFd> open_file(const FileRequest&) override { return fail(Cause::Denied, EACCES, "none"); }
  void watch(int fd, std::uint32_t, std::move_only_function<void()>) override { ring = fd; }
  void unwatch(int) override {}
  void post(std::move_only_function<void()>) override {}
  void after(std::uint32_t, std::move_only_function<void()>) override {}
  void log(LogLevel, std::string_view) override {}
  void count(std::string_view, std::uint64_t) override {}
  int ring = -1;
};

class Nobody final : public Finisher {
 public:
  void finished(Operation&, std::int64_t) noexcept override {}
};

class UringLimits : public ::testing::Test {
 protected:
  void SetUp() override {
    path_ = ::testing::TempDir() + "/uring-limits";
    file_ = UniqueFd(::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    ASSERT_EQ(::ftruncate(file_.get(), 8192), 0);
    auto engine = UringEngine::create(file_.get(), services_, nobody_);
    // A kernel without io_uring, or one that an administrator has switched it off in.
    if (!engine) GTEST_SKIP() << engine.error().what;
    engine_ = std::move(*engine);
    // The twin: the same sizes, so that the kernel lays it out alike.
    io_uring_params parameters{};
    parameters.flags = IORING_SETUP_CQSIZE;
    parameters.cq_entries = 256;
    ASSERT_EQ(::io_uring_queue_init_params(64, &twin_, &parameters), 0);
    const int fd = file_.get();
    ASSERT_EQ(::io_uring_register_files(&twin_, &fd, 1), 0);
    ASSERT_EQ(::io_uring_queue_mmap(services_.ring, &parameters, &limited_), 0);
  }
  void TearDown() override {
    if (engine_) ::io_uring_queue_exit(&twin_);
    engine_.reset();
    std::filesystem::remove(path_);
  }
  static int result_of(io_uring& ring, const std::function<void(io_uring_sqe&)>& prepare) {
    io_uring_sqe* entry = ::io_uring_get_sqe(&ring);
    prepare(*entry);
    // Refused or not, there is an answer. (Waiting with a deadline would be an operation of the ring's, too.)
    EXPECT_EQ(::io_uring_submit_and_wait(&ring, 1), 1);
    io_uring_cqe* completion = nullptr;
    if (::io_uring_peek_cqe(&ring, &completion) != 0) return -ETIME;
    const int result = completion->res;
    ::io_uring_cqe_seen(&ring, completion);
    return result;
  }

  std::string path_;
  RingFinder services_;
  Nobody nobody_;
  UniqueFd file_;
  std::unique_ptr<UringEngine> engine_;
  io_uring twin_{};
  io_uring limited_{};
};

TEST_F(UringLimits, WhatTheHandlerDoesIsDone) {
  std::array<char, 512> bytes{};
  EXPECT_EQ(result_of(limited_,
                      [&](io_uring_sqe& entry) {
                        ::io_uring_prep_read(&entry, 0, bytes.data(), bytes.size(), 0);
                        entry.flags |= IOSQE_FIXED_FILE;
                      }),
            512);
}

TEST_F(UringLimits, EverythingElseIsRefused) {
  struct Attempt {
    const char* name;
    std::function<void(io_uring_sqe&)> prepare;
  };
  std::array<char, 16> bytes{};
  const Attempt attempts[] = {
      {"nop", [](io_uring_sqe& entry) { ::io_uring_prep_nop(&entry); }},
      {"open",
       [](io_uring_sqe& entry) { ::io_uring_prep_openat(&entry, AT_FDCWD, "/etc/passwd", O_RDONLY, 0); }},
      {"socket", [](io_uring_sqe& entry) { ::io_uring_prep_socket(&entry, AF_UNIX, SOCK_STREAM, 0, 0); }},
      {"read of a file by its number",
       [&](io_uring_sqe& entry) {
         ::io_uring_prep_read(&entry, file_.get(), bytes.data(), bytes.size(), 0);
       }},
      {"readv of the registered file",
       [&](io_uring_sqe& entry) {
         static iovec part;
         part = {bytes.data(), bytes.size()};
         ::io_uring_prep_readv(&entry, 0, &part, 1, 0);
         entry.flags |= IOSQE_FIXED_FILE;
       }},
  };
  for (const Attempt& attempt : attempts) {
    EXPECT_EQ(result_of(limited_, attempt.prepare), -EACCES) << attempt.name;
    EXPECT_GE(result_of(twin_, attempt.prepare), 0) << attempt.name;
  }
}

TEST_F(UringLimits, NothingCanBeRegisteredAnyMore) {
  const int other = STDIN_FILENO;
  EXPECT_EQ(::io_uring_register_files_update(&limited_, 0, &other, 1), -EACCES);
  EXPECT_EQ(::io_uring_register_files_update(&twin_, 0, &other, 1), 1);
}

}  // namespace
}  // namespace bulkhead::handler
