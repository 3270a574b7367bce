#include "handler-host/handlers/file/config.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <string>

namespace bulkhead::handler {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

std::string refusal(std::string_view text) {
  auto config = parse_file_config(text);
  return config ? "accepted" : config.error().what;
}

TEST(FileConfig, APathAloneHasTheDefaults) {
  auto config = parse_file_config("/srv/a.img");
  ASSERT_TRUE(config);
  EXPECT_EQ(config->path, "/srv/a.img");
  EXPECT_FALSE(config->read_only);
  EXPECT_FALSE(config->create);
  EXPECT_TRUE(config->write_cache);
  EXPECT_TRUE(config->discard);
  EXPECT_TRUE(config->lock);
  EXPECT_EQ(config->direct, Direct::Auto);
  EXPECT_EQ(config->engine, EngineChoice::Auto);
}

TEST(FileConfig, EveryOptionIsRead) {
  auto config =
      parse_file_config("/a?create=on&write_cache=off&discard=off&lock=off&direct=on&engine=threads");
  ASSERT_TRUE(config);
  EXPECT_TRUE(config->create);
  EXPECT_FALSE(config->write_cache);
  EXPECT_FALSE(config->discard);
  EXPECT_FALSE(config->lock);
  EXPECT_EQ(config->direct, Direct::On);
  EXPECT_EQ(config->engine, EngineChoice::Threads);
  EXPECT_TRUE(parse_file_config("/a?ro=on&direct=off&engine=uring")->read_only);
}

TEST(FileConfig, ARelativePathIsRefusedWithTheTwoSlashesExplained) {
  EXPECT_THAT(refusal("srv/a.img"),
              AllOf(HasSubstr("\"srv/a.img\""), HasSubstr("relative"), HasSubstr("two slashes")));
}

TEST(FileConfig, NoPathIsRefused) {
  EXPECT_THAT(refusal(""), HasSubstr("names no file"));
  EXPECT_THAT(refusal("?ro=on"), HasSubstr("names no file"));
}

TEST(FileConfig, QuotesThatCameAlongAreTold) {
  EXPECT_THAT(refusal("\"/srv/a.img\""), HasSubstr("begins with a quote"));
  EXPECT_THAT(refusal("'/srv/a.img'"), HasSubstr("begins with a quote"));
}

TEST(FileConfig, AnUnknownOptionNamesTheKnownOnes) {
  EXPECT_EQ(refusal("/a?readonly=on"),
            "/a: unknown option readonly; there are ro, create, direct, write_cache, discard, lock, engine");
}

TEST(FileConfig, ABadValueNamesTheGoodOnes) {
  EXPECT_EQ(refusal("/a?direct=yes"), "/a: option direct=yes: the value must be auto, on or off");
  EXPECT_EQ(refusal("/a?engine=aio"), "/a: option engine=aio: the value must be auto, uring or threads");
  EXPECT_EQ(refusal("/a?ro=1"), "/a: option ro=1: the value must be on or off");
}

TEST(FileConfig, ReadOnlyAndCreateContradictEachOther) {
  EXPECT_THAT(refusal("/a?ro=on&create=on"), HasSubstr("contradict"));
}

// What D-Bus and targetcli show as help is the manifest's text.
TEST(FileConfig, TheManifestDescribesEveryOption) {
  std::ifstream file("handler-host/handlers/file/file.textproto");
  const std::string manifest{std::istreambuf_iterator<char>(file), {}};
  ASSERT_THAT(manifest, HasSubstr("subtype: \"file\""));
  const std::string known = refusal("/a?unknown=x");
  std::string names = known.substr(known.find("there are ") + 10) + ",";
  ASSERT_EQ(std::ranges::count(names, ','), 7);
  for (std::size_t comma = 0; (comma = names.find(',')) != std::string::npos; names.erase(0, comma + 1)) {
    const std::string name =
        names.substr(names.front() == ' ' ? 1 : 0, comma - (names.front() == ' ' ? 1 : 0));
    EXPECT_THAT(manifest, HasSubstr(name + "=")) << name;
  }
}

}  // namespace
}  // namespace bulkhead::handler
