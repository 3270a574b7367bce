#include "supervisor/device/host_evidence.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace bulkhead::supervisor {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

class HostEvidence : public testing::Test {
 protected:
  HostEvidence() { std::filesystem::remove_all(proc_); }
  void put(const std::string& path, const std::string& text) const {
    const auto file = std::filesystem::path(proc_) / path;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << text;
  }
  const std::string proc_ = testing::TempDir() + "/proc";
};

TEST_F(HostEvidence, StateAndWhereItSleeps) {
  put("7/status", "Name:\tx\nState:\tD (disk sleep)\nTgid:\t7\n");
  put("7/wchan", "io_schedule");
  EXPECT_EQ(host_state(7, proc_), "state D (disk sleep), in io_schedule");
  put("7/wchan", "0");
  EXPECT_EQ(host_state(7, proc_), "state D (disk sleep)");
}

TEST_F(HostEvidence, WhatIsNotThereIsLeftOut) {
  EXPECT_EQ(host_state(7, proc_), "state unknown");
  EXPECT_THAT(host_threads(7, proc_), ElementsAre(HasSubstr("nothing of handler-host 7")));
}

TEST_F(HostEvidence, ThreadsWithTheirStacks) {
  put("7/task/8/comm", "host\033[1m\n");
  put("7/task/8/status", "State:\tS (sleeping)\n");
  put("7/task/8/syscall", "232 0x4\n");
  put("7/task/8/stack", "[<0>] ep_poll+0x1\n[<0>] do_epoll_wait+0x2\n");
  const auto lines = host_threads(7, proc_);
  ASSERT_THAT(lines, SizeIs(3));
  EXPECT_THAT(lines[0], HasSubstr("thread 8 (host"));
  EXPECT_THAT(lines[0], HasSubstr("state S (sleeping), system call 232 0x4"));
  EXPECT_EQ(lines[0].find('\033'), std::string::npos) << "a host may name its threads as it likes";
  EXPECT_EQ(lines[2], "thread 8: [<0>] do_epoll_wait+0x2");
}

TEST_F(HostEvidence, AnEndlessNumberOfThreadsIsCut) {
  for (int i = 0; i < 100; ++i) put("7/task/" + std::to_string(i) + "/comm", "x\n");
  EXPECT_THAT(host_threads(7, proc_), SizeIs(17));
}

TEST_F(HostEvidence, OfARealProcess) {
  EXPECT_THAT(host_state(::getpid()), HasSubstr("state R (running)"));
  EXPECT_THAT(host_threads(::getpid()), testing::Not(testing::IsEmpty()));
}

}  // namespace
}  // namespace bulkhead::supervisor
