#include "test/storm/device_checker.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

namespace bulkhead::storm {
namespace {

using testing::HasSubstr;

constexpr std::size_t kBlock = 512;

// A disk in memory under a checker of its own.
class Disk : public testing::Test {
 protected:
  void write(Extent extent) {
    std::vector<std::byte> data(extent.blocks * kBlock);
    const DeviceChecker::Write one = checker_.begin_write(extent, 3, data);
    std::memcpy(&bytes_[extent.first * kBlock], data.data(), data.size());
    checker_.end_write(one, DeviceChecker::Outcome::Acknowledged);
  }
  std::string read(Extent extent) {
    const DeviceChecker::Read one = checker_.begin_read(extent, 1);
    return checker_.end_read(one, std::span(bytes_).subspan(extent.first * kBlock, extent.blocks * kBlock))
        .value_or("");
  }
  std::vector<std::byte> block(std::uint64_t number) {
    return {&bytes_[number * kBlock], &bytes_[number * kBlock] + kBlock};
  }
  void put(std::uint64_t number, const std::vector<std::byte>& content) {
    std::memcpy(&bytes_[number * kBlock], content.data(), kBlock);
  }

  DeviceChecker checker_{{"/dev/sdx", 0xabcd, 7}, 16, kBlock};
  std::vector<std::byte> bytes_ = std::vector<std::byte>(16 * kBlock);
};

TEST_F(Disk, AcceptsWhatWasWritten) {
  write({0, 16});
  write({4, 3});
  EXPECT_EQ(read({0, 16}), "");
  EXPECT_EQ(read({5, 1}), "");
}

TEST_F(Disk, TellsAllAboutALostWrite) {
  write({0, 16});
  const std::vector<std::byte> old = block(5);
  write({4, 3});
  put(5, old);
  const std::string wrong = read({2, 6});
  EXPECT_THAT(wrong, HasSubstr("/dev/sdx: block 5 (byte 2560), read #"));
  EXPECT_THAT(wrong, HasSubstr("of blocks 2..7"));
  EXPECT_THAT(wrong, HasSubstr("version 1 is back, overwritten long ago; expected version 2 (acknowledged)"));
  EXPECT_THAT(wrong, HasSubstr("found {magic 4d524f54"));
  EXPECT_THAT(wrong, HasSubstr("device 7, writer 3, block 5, version 1}"));
  EXPECT_THAT(wrong, HasSubstr("slot 3: write acknowledged, version 2"));
}

TEST_F(Disk, FindsATornBlock) {
  write({0, 16});
  const std::vector<std::byte> old = block(9);
  write({9, 1});
  std::memcpy(&bytes_[9 * kBlock + 256], &old[256], 256);
  EXPECT_THAT(read({9, 1}), HasSubstr("torn or damaged"));
}

TEST_F(Disk, ExcusesATornBlockWhileItIsWritten) {
  write({0, 16});
  std::vector<std::byte> data(kBlock);
  const DeviceChecker::Write under_way = checker_.begin_write({9, 1}, 0, data);
  std::memcpy(&bytes_[9 * kBlock + 256], &data[256], 256);
  EXPECT_EQ(read({9, 1}), "");
  EXPECT_EQ(checker_.torn_while_written(), 1U);
  checker_.end_write(under_way, DeviceChecker::Outcome::Acknowledged);
  EXPECT_THAT(read({9, 1}), HasSubstr("nobody was writing it; expected version 2 (acknowledged)"));
}

TEST_F(Disk, FindsABlockOfAnotherPlaceDeviceOrRun) {
  write({0, 16});
  put(3, block(4));
  EXPECT_THAT(read({0, 8}), HasSubstr("holds what belongs elsewhere"));
  DeviceChecker other({"/dev/sdy", 0xabcd, 8}, 16, kBlock);
  std::vector<std::byte> data(kBlock);
  (void)other.begin_write({3, 1}, 0, data);
  put(3, data);
  EXPECT_THAT(read({3, 1}), HasSubstr("device 8"));
  DeviceChecker earlier({"/dev/sdx", 0x1111, 7}, 16, kBlock);
  (void)earlier.begin_write({3, 1}, 0, data);
  put(3, data);
  EXPECT_THAT(read({3, 1}), HasSubstr("run 0000000000001111"));
}

TEST_F(Disk, FindsZeroes) {
  write({0, 16});
  put(0, std::vector<std::byte>(kBlock));
  EXPECT_THAT(read({0, 1}), HasSubstr("none of our blocks"));
}

}  // namespace
}  // namespace bulkhead::storm
