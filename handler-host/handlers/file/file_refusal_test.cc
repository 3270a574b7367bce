// What handler `file` refuses to open: every text names the path, the reason and the remedy.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <string>
#include <thread>

#include "handler-host/handlers/file/file_lun_for_tests.h"

namespace bulkhead::handler {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

Error refusal(const std::string& config, std::uint64_t bytes = kMebibyte, std::uint32_t block_bytes = 512) {
  const FileLun lun(config, bytes, block_bytes);
  EXPECT_FALSE(lun.device);
  return lun.open_error;
}

TEST(FileRefusal, AMissingFileIsToBeCreated) {
  const ScratchFolder folder;
  const std::string path = folder.path("none.img");
  const Error error = refusal(path);
  EXPECT_EQ(error.sys_errno, ENOENT);
  EXPECT_THAT(error.what, AllOf(HasSubstr(path + " does not exist"),
                                HasSubstr("`truncate -s 1048576 " + path + "`"), HasSubstr("?create=on")));
}

TEST(FileRefusal, AFolderIsNoDisk) {
  const ScratchFolder folder;
  for (const char* options : {"", "?ro=on"}) {
    const Error error = refusal(folder.path("") + options);
    EXPECT_EQ(error.sys_errno, EISDIR);
    EXPECT_THAT(error.what, HasSubstr("is a directory: name a file or a block device"));
  }
}

TEST(FileRefusal, AFileIsNoFolder) {
  const ScratchFolder folder;
  const std::string path = folder.file("a.img", kMebibyte) + "/b.img";
  const Error error = refusal(path);
  EXPECT_EQ(error.sys_errno, ENOTDIR);
  EXPECT_THAT(error.what, AllOf(HasSubstr(path), HasSubstr("check the path")));
}

TEST(FileRefusal, AFifoIsNoDisk) {
  const ScratchFolder folder;
  const std::string path = folder.path("fifo");
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  const Error error = refusal(path);
  EXPECT_EQ(error.sys_errno, EINVAL);
  EXPECT_THAT(error.what, HasSubstr(path + " is a FIFO: name a file or a block device"));
}

TEST(FileRefusal, ACharacterDeviceIsNoDisk) {
  EXPECT_THAT(refusal("/dev/null").what, HasSubstr("/dev/null is a character device"));
}

TEST(FileRefusal, AnEmptyFileNeedsASize) {
  const ScratchFolder folder;
  const std::string path = folder.file("a.img", 0);
  EXPECT_THAT(refusal(path).what,
              HasSubstr(path + " is empty: give it a size with `truncate -s 1048576 " + path + "`"));
}

TEST(FileRefusal, AFileSmallerThanTheLunIsToBeEnlarged) {
  const ScratchFolder folder;
  const std::string path = folder.file("a.img", kMebibyte - 512);
  const Error error = refusal(path);
  EXPECT_EQ(error.sys_errno, EINVAL);
  EXPECT_EQ(error.what,
            path +
                " has 1048064 bytes, the LUN 1048576: make the LUN smaller, or enlarge the file with "
                "`truncate -s 1048576 " +
                path + "`");
}

TEST(FileRefusal, CreateDoesNotEnlargeWhatIsThere) {
  const ScratchFolder folder;
  const std::string path = folder.file("a.img", 512);
  EXPECT_THAT(refusal(path + "?create=on").what, HasSubstr("enlarge the file"));
  EXPECT_EQ(std::filesystem::file_size(path), 512u);
}

// The supervisor opens as root, so these come from it as numbers.
TEST(FileRefusal, AFileThatCantBeWrittenIsToBeServedReadOnly) {
  const ScratchFolder folder;
  for (const int number : {EACCES, EROFS}) {
    const std::string path = folder.file("a.img", kMebibyte);
    auto loop = std::move(*host::EventLoop::create());
    host::LoopServices services(*loop);
    services.open_errno = number;
    auto opened =
        FileDevice::open(services, {.device = "d", .config = path, .size = {kMebibyte}, .block_bytes = 512});
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().sys_errno, number);
    EXPECT_THAT(opened.error().what, AllOf(HasSubstr(path), HasSubstr(errno_text(number)),
                                           HasSubstr("serve it read-only with ?ro=on")));
  }
}

TEST(FileRefusal, AFileThatCantBeReadNeedsPermissions) {
  auto loop = std::move(*host::EventLoop::create());
  host::LoopServices services(*loop);
  services.open_errno = EACCES;
  auto opened = FileDevice::open(
      services, {.device = "d", .config = "/a?ro=on", .size = {kMebibyte}, .block_bytes = 512});
  ASSERT_FALSE(opened);
  EXPECT_THAT(opened.error().what, AllOf(HasSubstr("/a can't be read"), HasSubstr("check its permissions")));
}

TEST(FileRefusal, NamesWithSpecialCharactersAreShownAsTheyAreWritten) {
  EXPECT_THAT(refusal("/srv/none%20of%0Athis").what, HasSubstr("/srv/none%20of%0Athis does not exist"));
}

TEST(FileRefusal, AFileInUseByAnotherLunIsLocked) {
  const ScratchFolder folder;
  const std::string path = folder.file("a.img", kMebibyte);
  const FileLun first(path, kMebibyte);
  ASSERT_TRUE(first.device) << first.open_error.what;
  for (const char* options : {"", "?ro=on"}) {
    const Error error = refusal(path + options);
    EXPECT_EQ(error.sys_errno, EBUSY);
    EXPECT_THAT(error.what, AllOf(HasSubstr(path + " is in use by another LUN"), HasSubstr("?lock=off")));
  }
  const FileLun unlocked(path + "?lock=off", kMebibyte);
  EXPECT_TRUE(unlocked.device) << unlocked.open_error.what;
}

TEST(FileRefusal, ReadersMayShareAFile) {
  const ScratchFolder folder;
  const std::string path = folder.file("a.img", kMebibyte) + "?ro=on";
  const FileLun first(path, kMebibyte), second(path, kMebibyte);
  EXPECT_TRUE(first.device) << first.open_error.what;
  EXPECT_TRUE(second.device) << second.open_error.what;
}

// A host that was killed holds its lock until its last write is through; the next one waits for just that.
TEST(FileRefusal, ALockThatIsGivenUpSoonIsWaitedFor) {
  const ScratchFolder folder;
  const std::string path = folder.file("a.img", kMebibyte);
  auto first = std::make_unique<FileLun>(path, kMebibyte);
  ASSERT_TRUE(first->device) << first->open_error.what;
  std::thread holder([&first] {
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    first.reset();
  });
  const FileLun second(path, kMebibyte);
  holder.join();
  EXPECT_TRUE(second.device) << second.open_error.what;
}

}  // namespace
}  // namespace bulkhead::handler
