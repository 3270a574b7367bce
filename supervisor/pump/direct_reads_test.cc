#include "supervisor/pump/direct_reads.h"

#include <gtest/gtest.h>
#include <poll.h>

#include <map>
#include <vector>

#include "supervisor/pump/testing/image_file.h"

namespace bulkhead::supervisor {
namespace {

using testing::ImageFile;

constexpr std::uint32_t kBlock = ImageFile::kBlock;

struct TestReader final : DirectReads::Reader {
  void read_done(SlotIndex slot, std::span<const std::byte> data, bool whole) override {
    ends[slot.value] = whole ? static_cast<int>(data.front()) : -1;
    bytes[slot.value] = data.size();
  }
  std::map<std::uint32_t, int> ends;  // by slot: the first byte; -1: not whole
  std::map<std::uint32_t, std::size_t> bytes;
};

class DirectReadsTest : public ::testing::Test {
 protected:
  auto begin(TestReader& whose, std::uint32_t slot, std::uint64_t block, std::uint32_t blocks = 1) {
    return reads->begin(whose, {slot}, image.file(), {block * kBlock}, blocks * kBlock);
  }
  // Until that many reads more have ended, told or not.
  void finish(std::size_t count) {
    EXPECT_FALSE(reads->submit());
    const std::size_t before = reads->under_way();
    while (reads->under_way() > before - count) {
      pollfd event{.fd = reads->fd(), .events = POLLIN, .revents = 0};
      ASSERT_EQ(::poll(&event, 1, 20'000), 1);
      reads->reap();
    }
  }
  ImageFile image;
  std::unique_ptr<DirectReads> reads = DirectReads::create().value();
  TestReader reader;
};

TEST_F(DirectReadsTest, EachGetsWhatLiesAtItsPlace) {
  for (std::uint32_t slot = 0; slot < 8; ++slot) ASSERT_TRUE(begin(reader, slot, 7 - slot, slot % 3 + 1));
  reads->reap();
  EXPECT_TRUE(reader.ends.empty()) << "nothing is under way yet";
  finish(8);
  ASSERT_EQ(reader.ends.size(), 8u);
  for (const auto& [slot, byte] : reader.ends) {
    EXPECT_EQ(byte, static_cast<int>(8 - slot)) << slot;
    EXPECT_EQ(reader.bytes[slot], (slot % 3 + 1) * kBlock);
  }
}

TEST_F(DirectReadsTest, WhatEndsBeforeItsTimeIsNotWhole) {
  ASSERT_TRUE(begin(reader, 1, ImageFile::kBlocks - 1, 2));
  ASSERT_TRUE(begin(reader, 2, ImageFile::kBlocks + 1));
  finish(2);
  EXPECT_EQ(reader.ends, (std::map<std::uint32_t, int>{{1, -1}, {2, -1}}));
}

TEST_F(DirectReadsTest, OneThatIsForgottenIsNotToldAndMakesRoom) {
  const auto forgotten = begin(reader, 1, 1);
  ASSERT_TRUE(forgotten && begin(reader, 2, 2));
  reads->forget(*forgotten);
  finish(2);
  EXPECT_EQ(reader.ends, (std::map<std::uint32_t, int>{{2, 3}}));
  EXPECT_EQ(reads->under_way(), 0u);
}

TEST_F(DirectReadsTest, WhoHasLeftIsToldNothing) {
  auto leaving = std::make_unique<TestReader>();
  ASSERT_TRUE(begin(*leaving, 1, 1) && begin(reader, 2, 2));
  reads->leave(*leaving);
  leaving.reset();
  finish(2);
  EXPECT_EQ(reader.ends, (std::map<std::uint32_t, int>{{2, 3}}));
}

TEST_F(DirectReadsTest, OneReaderLeavesRoomForOthers) {
  TestReader other, third;
  for (std::uint32_t i = 0; i < DirectReads::kRoomOfOne; ++i) ASSERT_TRUE(begin(reader, i, 0));
  EXPECT_FALSE(begin(reader, 99, 0));
  for (std::uint32_t i = 0; i < DirectReads::kRoomOfOne; ++i) ASSERT_TRUE(begin(other, i, 1));
  EXPECT_FALSE(begin(third, 0, 0)) << "all rooms are taken";
  finish(DirectReads::kRoom);
  EXPECT_EQ(reader.ends.size(), DirectReads::kRoomOfOne);
  EXPECT_EQ(other.ends.size(), DirectReads::kRoomOfOne);
  EXPECT_TRUE(begin(reader, 99, 0));
}

// The descriptor's number may be another file's as soon as it is closed.
TEST_F(DirectReadsTest, AFileStaysOpenUntilItsReadHasEnded) {
  ImageFile second;
  const std::weak_ptr<const UniqueFd> watched = second.file();
  ASSERT_TRUE(reads->begin(reader, {5}, second.file(), {3 * kBlock}, kBlock));
  second = ImageFile();
  EXPECT_FALSE(watched.expired());
  finish(1);
  EXPECT_EQ(reader.ends[5], 4);
  EXPECT_TRUE(watched.expired());
}

}  // namespace
}  // namespace bulkhead::supervisor
