// The load on a real file, and somebody who spoils the file meanwhile.
#include "test/storm/device_load.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <thread>

#include "test/storm/block_image.h"

namespace bulkhead::storm {
namespace {

using namespace std::chrono_literals;
using testing::AnyOf;
using testing::HasSubstr;

constexpr std::size_t kBlock = kSmallestBlock;
constexpr std::uint64_t kKib = 64;

class LoadOnAFile : public testing::Test {
 protected:
  LoadOnAFile() {
    file_.reset(::open(path_.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    EXPECT_EQ(::ftruncate(file_.get(), kKib * 1024), 0);
  }
  ~LoadOnAFile() override { ::unlink(path_.c_str()); }

  std::unique_ptr<DeviceLoad> open_load(LoadOptions options) {
    options.kib = kKib;
    options.longest_kib = 16;
    options.caching = Caching::Buffered;
    auto load = DeviceLoad::open(path_, options);
    EXPECT_TRUE(load) << load.error().what;
    return load ? std::move(*load) : nullptr;
  }
  Version version_of(const std::vector<std::byte>& block) {
    auto header = read_image(block);
    return header ? header->version : 0;
  }
  std::vector<std::byte> look(std::uint64_t block) {
    std::vector<std::byte> data(kBlock);
    EXPECT_EQ(::pread(file_.get(), data.data(), kBlock, static_cast<off_t>(block * kBlock)),
              static_cast<ssize_t>(kBlock));
    return data;
  }
  void put(std::uint64_t block, const std::vector<std::byte>& data) {
    EXPECT_EQ(::pwrite(file_.get(), data.data(), kBlock, static_cast<off_t>(block * kBlock)),
              static_cast<ssize_t>(kBlock));
  }
  // Whether `done` came true in time.
  template <class Condition>
  bool soon(Condition done) {
    const auto ends = std::chrono::steady_clock::now() + 30s;
    while (!done()) {
      if (std::chrono::steady_clock::now() > ends) return false;
      std::this_thread::sleep_for(1ms);  // between two looks at the condition: no event tells of it
    }
    return true;
  }

  std::string path_ = testing::TempDir() + "/storm-" + std::to_string(::getpid());
  UniqueFd file_;
};

TEST_F(LoadOnAFile, GoesWellWhenNothingIsWrong) {
  auto load = open_load({.seed = 1, .depth = 16});
  LoadReport report;
  std::jthread runner([&] { report = load->run(); });
  ASSERT_TRUE(soon([&] { return load->filled(); }));
  // Every block has been written anew by then.
  EXPECT_TRUE(soon([&] { return version_of(look(100)) > 500; }));
  load->stop();
  runner.join();
  EXPECT_EQ(report.violation, "");
  EXPECT_EQ(report.errors, 0U) << report.first_error;
  EXPECT_TRUE(report.read_back);
  EXPECT_FALSE(report.hung);
  EXPECT_GT(report.reads, 50U);
  EXPECT_GT(report.writes, 50U);
}

TEST_F(LoadOnAFile, FindsAnOlderVersionThatIsPutBack) {
  // Mostly reads, and not too fast, so that what is put back is seen before it is overwritten.
  auto load = open_load({.seed = 2, .depth = 4, .read_percent = 80, .rate = 5000});
  LoadReport report;
  std::jthread runner([&] { report = load->run(); });
  ASSERT_TRUE(soon([&] { return load->filled(); }));
  const std::vector<std::byte> old = look(37);
  EXPECT_TRUE(soon([&] {
    if (!load->over() && version_of(look(37)) > version_of(old)) put(37, old);
    return load->over();
  })) << "nobody has noticed";
  load->stop();
  runner.join();
  EXPECT_THAT(report.violation, HasSubstr(path_ + ": block 37 "));
  EXPECT_THAT(report.violation,
              AnyOf(HasSubstr("is back, overwritten long ago"), HasSubstr("can't be there")));
}

TEST_F(LoadOnAFile, ReadsEverythingBackAtTheEnd) {
  auto load = open_load({.seed = 3, .read_percent = 0});
  LoadReport report;
  std::jthread runner([&] { report = load->run(); });
  ASSERT_TRUE(soon([&] { return load->filled() && version_of(look(37)) > 500; }));
  load->stop();
  runner.join();
  EXPECT_EQ(report.violation, "");
  EXPECT_TRUE(report.read_back);
  EXPECT_EQ(report.blocks_read, kKib * 1024 / kBlock);
}

TEST_F(LoadOnAFile, CountsErrorsAndGoesOn) {
  // A memory file can be sealed: every write fails from then on.
  file_.reset(::memfd_create("storm", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  ASSERT_EQ(::ftruncate(file_.get(), kKib * 1024), 0);
  path_ = "/proc/self/fd/" + std::to_string(file_.get());
  auto load = open_load({.seed = 4, .depth = 4});
  LoadReport report;
  std::jthread runner([&] { report = load->run(); });
  ASSERT_TRUE(soon([&] { return load->filled(); }));
  ASSERT_EQ(::fcntl(file_.get(), F_ADD_SEALS, F_SEAL_WRITE), 0);
  const std::vector<std::byte> last = look(0);
  const auto settled = std::chrono::steady_clock::now() + 200ms;
  EXPECT_TRUE(soon([&] { return load->over() || std::chrono::steady_clock::now() > settled; }));
  load->stop();
  runner.join();
  EXPECT_GT(report.errors, 0U);
  EXPECT_THAT(report.first_error, HasSubstr("Operation not permitted"));
  EXPECT_THAT(report.first_error, HasSubstr(": write of "));
  // Nothing came of those writes, which is one of the two things that may.
  EXPECT_EQ(report.violation, "");
  EXPECT_TRUE(report.read_back);
  EXPECT_EQ(look(0), last);
}

TEST_F(LoadOnAFile, RefusesAFileThatIsTooShort) {
  EXPECT_EQ(::ftruncate(file_.get(), 4096), 0);
  auto load = DeviceLoad::open(path_, {.kib = kKib, .longest_kib = 16, .caching = Caching::Buffered});
  ASSERT_FALSE(load);
  EXPECT_THAT(load.error().what, HasSubstr("has 4096 bytes, the load needs 65536"));
}

}  // namespace
}  // namespace bulkhead::storm
