#include "supervisor/device/sandbox_arguments.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bulkhead::supervisor {
namespace {

using ::testing::ElementsAre;

TEST(SandboxArguments, NameTheFolderOfTheLibraryAndNothingMoreForAHandlerWithoutNeeds) {
  EXPECT_THAT(sandbox_arguments({}, "/usr/lib/x/handler_file.so", {}, {}),
              ElementsAre("--library-dir=/usr/lib/x"));
}

TEST(SandboxArguments, CarryWhatTheManifestAsksFor) {
  HandlerManifest manifest;
  manifest.mutable_needs()->set_network(true);
  manifest.mutable_needs()->add_path("/etc/ceph");
  manifest.mutable_needs()->add_path("/etc/hosts");
  manifest.mutable_needs()->set_threads(true);
  manifest.mutable_needs()->add_syscall("getuid");
  EXPECT_THAT(sandbox_arguments(manifest, "/x/handler_rbd.so", {}, {}),
              ElementsAre("--library-dir=/x", "--path=/etc/ceph", "--path=/etc/hosts", "--network",
                          "--threads", "--syscall=getuid"));
}

TEST(SandboxArguments, RequireOfTheHostWhatIsItsOwnToBuild) {
  const std::vector<std::string> required{"seccomp", "memory-limit", "root"};
  EXPECT_THAT(sandbox_arguments({}, "/x/handler_file.so", required, {{"memory-limit", "on"}}),
              ElementsAre("--library-dir=/x", "--require=seccomp,root"));
}

}  // namespace
}  // namespace bulkhead::supervisor
