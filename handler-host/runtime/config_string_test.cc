#include "handler-host/runtime/config_string.h"

#include <gmock/gmock.h>

#include <cerrno>

namespace bulkhead::host {
namespace {

TEST(TakeDaemonOptions, LeavesOtherStringsAlone) {
  for (const char* config : {"", "/srv/a.img", "/a;b", "/;tcmur_cmd_timeout=20;a", "tcmur_cmd_time_out=20"}) {
    const DaemonOptions options = take_daemon_options(config);
    EXPECT_EQ(options.rest, config);
    EXPECT_FALSE(options.command_timeout);
  }
}

TEST(TakeDaemonOptions, TakesTheCommandTimeoutWithBothItsSemicolons) {
  const DaemonOptions options = take_daemon_options(";tcmur_cmd_time_out=20;pool/img;osd_op_timeout=30");
  EXPECT_EQ(options.rest, "pool/img;osd_op_timeout=30");
  EXPECT_EQ(options.command_timeout, "20");
}

TEST(TakeDaemonOptions, TakesItFromTheEnd) {
  const DaemonOptions options = take_daemon_options("/srv/a.img;tcmur_cmd_time_out=5");
  EXPECT_EQ(options.rest, "/srv/a.img");
  EXPECT_EQ(options.command_timeout, "5");
}

TEST(TakeDaemonOptions, FromTheMiddleJoinsTheNeighboursAsTcmuRunnerDoes) {
  EXPECT_EQ(take_daemon_options("img;tcmur_cmd_time_out=20;osd").rest, "imgosd");
}

TEST(CheckKernelCarries, CountsTheSubtypeAndItsSlash) {
  EXPECT_TRUE(check_kernel_carries("file", std::string(250, 'x')));
  const auto refused = check_kernel_carries("file", std::string(251, 'x'));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().sys_errno, ENAMETOOLONG);
  EXPECT_THAT(refused.error().what,
              ::testing::HasSubstr("256 bytes with \"file/\" before it, and the kernel cuts it at 255"));
}

}  // namespace
}  // namespace bulkhead::host
