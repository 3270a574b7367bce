#include "handler-host/runtime/arguments.h"

#include <gmock/gmock.h>

#include <vector>

namespace bulkhead::host {
namespace {

using ::testing::ElementsAre;

Result<Arguments> parse(std::vector<const char*> arguments) {
  return parse_arguments(arguments);
}

TEST(Arguments, AreAVisibleNameAndPerhapsAUid) {
  EXPECT_EQ(parse({"tcmu-host: file/d0"})->visible_name, "tcmu-host: file/d0");
  EXPECT_FALSE(parse({"tcmu-host: file/d0"})->uid);
  EXPECT_EQ(parse({"x", "--uid=1234"})->uid, 1234u);
}

TEST(Arguments, TellOfTheSandboxWhatTheManifestAsksFor) {
  const auto parsed =
      parse({"x", "--uid=5", "--library-dir=/usr/lib/h", "--path=/etc/ceph", "--path=/etc/hosts", "--network",
             "--threads", "--syscall=getuid", "--require=root,landlock", "--require=seccomp"});
  EXPECT_THAT(parsed->paths, ElementsAre("/usr/lib/h", "/etc/ceph", "/etc/hosts"));
  EXPECT_THAT(parsed->required, ElementsAre("root", "landlock", "seccomp"));
  EXPECT_THAT(parsed->syscalls, ElementsAre("getuid"));
  EXPECT_TRUE(parsed->network);
  EXPECT_TRUE(parsed->threads);
  EXPECT_FALSE(parse({"x"})->threads);
  EXPECT_FALSE(parse({"x"})->network);
}

TEST(Arguments, HowLongToLookForACommand) {
  EXPECT_EQ(parse({"x"})->busy_poll.count(), 0);
  EXPECT_EQ(parse({"x", "--busy-poll-usec=50"})->busy_poll.count(), 50);
  EXPECT_EQ(parse({"x", "--busy-poll-usec=10000"})->busy_poll.count(), 10000);
}

TEST(Arguments, RefuseEverythingElse) {
  for (const char* argument :
       {"--help", "--uid", "--uid=", "--uid=0", "--uid=-1", "--uid=x", "--uid=1x", "--uid=4294967295",
        "--uid=4294967296", "extra", "--path=etc", "--library-dir=", "--network=1",
        "--busy-poll-usec=", "--busy-poll-usec=10001", "--busy-poll-usec=-1", "--busy-poll-usec=5us"})
    EXPECT_FALSE(parse({"x", argument})) << argument;
  EXPECT_FALSE(parse({"x", "--uid=1", "--uid=2"}));
  EXPECT_THAT(parse({"x", "--uid=0"}).error().what, ::testing::HasSubstr("a user id above 0"));
}

}  // namespace
}  // namespace bulkhead::host
