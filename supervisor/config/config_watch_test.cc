#include "supervisor/config/config_watch.h"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <filesystem>
#include <fstream>

namespace bulkhead::supervisor {
namespace {

using namespace std::chrono_literals;
namespace asio = boost::asio;
namespace fs = std::filesystem;

class ConfigWatchTest : public testing::Test {
 protected:
  ConfigWatchTest() : folder_(fs::path(testing::TempDir()) / "etc") {
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  void watch() {
    asio::co_spawn(loop_, watch_config(file(), [this] { ++changes_; }, {.quiet = 50ms, .look_again = 20ms}),
                   asio::detached);
    loop_.poll();  // up to its first wait: the watch stands
  }
  // Runs until `count` changes were told in all; false after five seconds.
  bool told(int count) {
    const auto end = std::chrono::steady_clock::now() + 5s;
    while (changes_ < count && std::chrono::steady_clock::now() < end) loop_.run_one_for(100ms);
    return changes_ == count;
  }
  // Lets everything happen that is still on its way, then says how many were told.
  int settled() {
    loop_.run_for(300ms);
    return changes_;
  }
  std::string file() const { return folder_ / "tcmu.conf"; }
  void write(const std::string& path, const std::string& text) const { std::ofstream(path) << text; }

  const fs::path folder_;
  asio::io_context loop_{1};
  int changes_ = 0;
};

TEST_F(ConfigWatchTest, WritingReplacingAndRemovingAreEachTold) {
  watch();
  write(file(), "a");
  ASSERT_TRUE(told(1));
  write(folder_ / "tcmu.conf.new", "b");
  fs::rename(folder_ / "tcmu.conf.new", file());
  ASSERT_TRUE(told(2));
  fs::remove(file());
  ASSERT_TRUE(told(3));
}

TEST_F(ConfigWatchTest, OtherFilesOfTheFolderAreNotTold) {
  watch();
  write(folder_ / "other.conf", "a");
  fs::rename(folder_ / "other.conf", folder_ / "tcmu.conf.bak");
  EXPECT_EQ(settled(), 0);
}

TEST_F(ConfigWatchTest, BurstIsToldOnce) {
  watch();
  for (int i = 0; i < 20; ++i) write(file(), std::to_string(i));
  ASSERT_TRUE(told(1));
  EXPECT_EQ(settled(), 1);
}

TEST_F(ConfigWatchTest, FolderThatComesLaterIsFoundAndItsFileTold) {
  fs::remove_all(folder_);
  watch();
  fs::create_directories(folder_);
  write(file(), "a");
  ASSERT_TRUE(told(1));
  write(file(), "b");
  ASSERT_TRUE(told(2));
}

TEST_F(ConfigWatchTest, FolderThatIsReplacedIsWatchedAgain) {
  watch();
  fs::rename(folder_, folder_.string() + ".old");
  fs::create_directories(folder_);
  ASSERT_TRUE(told(1));
  write(file(), "b");
  ASSERT_TRUE(told(2));
  fs::remove_all(folder_.string() + ".old");
  EXPECT_EQ(settled(), 2);
}

}  // namespace
}  // namespace bulkhead::supervisor
