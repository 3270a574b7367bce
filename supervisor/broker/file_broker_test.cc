#include "supervisor/broker/file_broker.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>

namespace bulkhead::supervisor {
namespace {

using ::testing::HasSubstr;

TEST(ConfigNamesPath, PathAsTargetcliWritesItIsNamed) {
  EXPECT_TRUE(config_names_path("/srv/a.img", "/srv/a.img"));
  EXPECT_TRUE(config_names_path("/srv/a.img?ro=on&direct=off", "/srv/a.img"));
  EXPECT_TRUE(config_names_path("model-HM/zsize-64@/srv/zbc.img", "/srv/zbc.img"));
  EXPECT_TRUE(config_names_path("pool/img;conf=/etc/ceph/c.conf;id=x", "/etc/ceph/c.conf"));
}

TEST(ConfigNamesPath, EscapedPathIsNamed) {
  EXPECT_TRUE(config_names_path("/srv/a%2Cb%20c.img?ro=on", "/srv/a,b c.img"));
  EXPECT_TRUE(config_names_path("/srv/100%.img", "/srv/100%.img"));
}

TEST(ConfigNamesPath, PartOfANameIsNotNamed) {
  EXPECT_FALSE(config_names_path("/srv/a.img", "/srv"));
  EXPECT_FALSE(config_names_path("/srv/a.img", "/srv/a"));
  EXPECT_FALSE(config_names_path("/srv/a.img", "/a.img"));
  EXPECT_FALSE(config_names_path("/srv/a.img", "a.img"));
  EXPECT_FALSE(config_names_path("/srv/a.img", ""));
  EXPECT_FALSE(config_names_path("/srv/a.img", "/etc/shadow"));
  EXPECT_FALSE(config_names_path("/srv/a.img", "/srv/../srv/a.img"));
}

class OpenForHost : public ::testing::Test {
 protected:
  std::string folder_ = std::string(::getenv("TEST_TMPDIR") != nullptr ? ::getenv("TEST_TMPDIR") : "/tmp");
  std::string path_ = folder_ + "/broker.img";
  void TearDown() override { ::unlink(path_.c_str()); }
};

TEST_F(OpenForHost, NamedFileIsOpenedAsAsked) {
  std::ofstream(path_) << "content";
  auto fd = open_for_host(path_, {.path = path_}, FilePolicy());
  ASSERT_TRUE(fd);
  EXPECT_EQ(::fcntl(fd->get(), F_GETFL) & O_ACCMODE, O_RDONLY);
  auto writable = open_for_host(path_, {.path = path_, .writable = true}, FilePolicy());
  ASSERT_TRUE(writable);
  EXPECT_EQ(::fcntl(writable->get(), F_GETFL) & O_ACCMODE, O_RDWR);
}

TEST_F(OpenForHost, FileTheConfigDoesNotNameIsDenied) {
  auto fd = open_for_host(path_, {.path = "/etc/shadow"}, FilePolicy());
  ASSERT_FALSE(fd);
  EXPECT_EQ(fd.error().cause, Cause::Denied);
  EXPECT_THAT(fd.error().what, HasSubstr("/etc/shadow"));
}

TEST_F(OpenForHost, MissingFileIsToldOrCreatedOnRequest) {
  EXPECT_EQ(open_for_host(path_, {.path = path_, .writable = true}, FilePolicy()).error().sys_errno, ENOENT);
  auto made = open_for_host(path_, {.path = path_, .writable = true, .create_bytes = 1 << 20}, FilePolicy());
  ASSERT_TRUE(made);
  struct stat status{};
  ASSERT_EQ(::stat(path_.c_str(), &status), 0);
  EXPECT_EQ(status.st_size, 1 << 20);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
}

TEST_F(OpenForHost, DirectoryFifoAndCharacterDeviceAreRefusedWithoutOpening) {
  EXPECT_THAT(open_for_host(folder_, {.path = folder_}, FilePolicy()).error().what,
              HasSubstr("is a directory"));
  EXPECT_THAT(open_for_host("/dev/null", {.path = "/dev/null"}, FilePolicy()).error().what,
              HasSubstr("a character device"));
  ASSERT_EQ(::mkfifo(path_.c_str(), 0600), 0);
  EXPECT_THAT(open_for_host(path_, {.path = path_}, FilePolicy()).error().what, HasSubstr("a FIFO"));
}

TEST_F(OpenForHost, FolderThatIsNotAllowedCountsForNewFilesToo) {
  const FilePolicy elsewhere{.roots = {{"/usr"}}}, here{.roots = {{folder_}}};
  const FileAsked asked{.path = path_, .writable = true, .create_bytes = 4096};
  EXPECT_EQ(open_for_host(path_, asked, elsewhere).error().sys_errno, EXDEV);
  EXPECT_NE(::access(path_.c_str(), F_OK), 0);
  EXPECT_TRUE(open_for_host(path_, asked, here));
  EXPECT_TRUE(open_for_host(path_, {.path = path_, .writable = true}, here));
}

TEST_F(OpenForHost, FileThatCannotHaveItsSizeIsNotLeftBehind) {
  const FileAsked asked{.path = path_, .writable = true, .create_bytes = std::uint64_t{1} << 63};
  EXPECT_THAT(open_for_host(path_, asked, FilePolicy()).error().what, HasSubstr("set the size of"));
  EXPECT_NE(::access(path_.c_str(), F_OK), 0);
}

TEST_F(OpenForHost, FileOfTheKernelsIsRefused) {
  const std::string path = "/proc/version";
  EXPECT_THAT(open_for_host(path, {.path = path}, FilePolicy()).error().what,
              HasSubstr("one of the kernel's own"));
}

TEST(ConfigAsksToShare, OnlyByTheOption) {
  EXPECT_TRUE(config_asks_to_share("/srv/a.img?lock=off"));
  EXPECT_TRUE(config_asks_to_share("/srv/a.img?ro=on&lock=off&direct=off"));
  EXPECT_FALSE(config_asks_to_share("/srv/a.img?lock=on"));
  EXPECT_FALSE(config_asks_to_share("/srv/lock=off"));
  EXPECT_FALSE(config_asks_to_share("/srv/a.img?padlock=off"));
  EXPECT_FALSE(config_asks_to_share("/srv/a.img?lock=office"));
}

TEST_F(OpenForHost, MagicLinkIsRefused) {
  const std::string link = "/proc/self/exe";
  EXPECT_EQ(open_for_host(link, {.path = link}, FilePolicy()).error().sys_errno, ELOOP);
}

}  // namespace
}  // namespace bulkhead::supervisor
