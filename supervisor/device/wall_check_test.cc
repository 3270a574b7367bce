#include "supervisor/device/wall_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bulkhead::supervisor {
namespace {

using testing::HasSubstr;

const std::vector<std::string> kSeccomp{"seccomp"};

TEST(WallCheck, TheKernelsWordCountsMoreThanTheHosts) {
  Walls walls{{"memory-limit", "on: 64 MiB"}};
  const Walls told{{"seccomp", "off"}, {"landlock", "on"}, {"user-namespace", "missing: refused"}};
  ASSERT_TRUE(believe_walls(told, {{"seccomp", true}, {"user-namespace", false}, {"pid-namespace", false}},
                            false, walls));
  EXPECT_EQ(walls, (Walls{{"memory-limit", "on: 64 MiB"},
                          {"seccomp", "on"},
                          {"landlock", "on"},
                          {"user-namespace", "missing: refused"},
                          {"pid-namespace", "off"}}));
}

TEST(WallCheck, AHostThatClaimsAWallItHasNotIsRefused) {
  for (const char* state : {"on", "on: strict"}) {
    Walls walls;
    const auto believed = believe_walls({{"seccomp", state}}, {{"seccomp", false}}, false, walls);
    ASSERT_FALSE(believed);
    EXPECT_THAT(believed.error().what,
                HasSubstr("its wall seccomp stands, and the kernel says that it does not"));
  }
}

TEST(WallCheck, WhatIsNotAskedForIsTheManifestsToSay) {
  Walls walls;
  const Walls told{{"network-namespace", "not asked"}};
  EXPECT_TRUE(believe_walls(told, {{"network-namespace", false}}, true, walls));
  EXPECT_EQ(walls.at("network-namespace"), "not asked");
  for (const char* name : {"network-namespace", "seccomp", "landlock"}) {
    const auto believed = believe_walls({{name, "not asked"}}, {}, false, walls);
    ASSERT_FALSE(believed) << name;
    EXPECT_THAT(believed.error().what, HasSubstr("nobody asked for its wall " + std::string(name)));
  }
  EXPECT_FALSE(believe_walls({{"seccomp", "not asked"}}, {}, true, walls));
}

TEST(WallCheck, AHostDoesNotTellItsLimits) {
  Walls walls{{"memory-limit", "missing: no controller"}};
  ASSERT_TRUE(believe_walls({{"memory-limit", "on: 1 MiB"}}, {}, false, walls));
  EXPECT_EQ(walls.at("memory-limit"), "missing: no controller");
}

TEST(WallCheck, WhatIsRequiredStandsOrIsNotAskedFor) {
  EXPECT_TRUE(require_walls({}, {}));
  EXPECT_TRUE(require_walls({{"seccomp", "on"}}, kSeccomp));
  EXPECT_TRUE(require_walls({{"seccomp", "on: 40 calls"}}, kSeccomp));
  EXPECT_TRUE(require_walls({{"seccomp", "not asked"}}, kSeccomp));
}

TEST(WallCheck, WhatIsMissingIsNamedWithTheRemedy) {
  for (const char* state : {"off", "missing: old kernel", "only", ""}) {
    const auto good = require_walls({{"seccomp", state}}, kSeccomp);
    ASSERT_FALSE(good) << state;
    EXPECT_THAT(good.error().what, HasSubstr("its wall seccomp is required"));
    EXPECT_THAT(good.error().what, HasSubstr("required_walls in tcmu.conf"));
  }
  EXPECT_THAT(require_walls({{"seccomp", "on"}}, std::vector<std::string>{"secomp"}).error().what,
              HasSubstr("wall secomp is required and does not stand (no such wall)"));
}

}  // namespace
}  // namespace bulkhead::supervisor
