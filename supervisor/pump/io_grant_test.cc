#include "supervisor/pump/io_grant.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "proto/channel_abi.h"

namespace bulkhead::supervisor {
namespace {

constexpr std::uint32_t kBlock = 512;
constexpr std::uint64_t kBlocks = 64;
constexpr std::uint32_t kNumber = 5;
constexpr std::uint32_t kReads = kNumber << channel::kGrantBits | channel::kGrantReads;
constexpr std::uint32_t kAll = kReads | channel::kGrantWrites;

class IoGrantTest : public ::testing::Test {
 protected:
  IoGrantTest() {
    std::vector<std::byte> content(kBlocks * kBlock);
    for (std::size_t i = 0; i < content.size(); ++i) content[i] = static_cast<std::byte>(i / kBlock + i % 7);
    EXPECT_EQ(::pwrite(fd(), content.data(), content.size(), 0), static_cast<ssize_t>(content.size()));
    before = content;
  }
  [[nodiscard]] int fd() const { return file->get(); }
  [[nodiscard]] IoGrant grant(ByteOffset first = {0}, std::uint64_t blocks = kBlocks) const {
    return IoGrant({.file = file,
                    .number = kNumber,
                    .first = first,
                    .size = {blocks * kBlock},
                    .block_bytes = kBlock,
                    .largest_bytes = 8 * kBlock,
                    .writable = true,
                    .in_memory = true});
  }
  [[nodiscard]] std::vector<std::byte> content() const {
    std::vector<std::byte> bytes(kBlocks * kBlock);
    EXPECT_EQ(::pread(fd(), bytes.data(), bytes.size(), 0), static_cast<ssize_t>(bytes.size()));
    return bytes;
  }

  std::shared_ptr<const UniqueFd> file =
      std::make_shared<const UniqueFd>(::memfd_create("image", MFD_CLOEXEC));
  std::vector<std::byte> before;
  std::vector<std::byte> region = std::vector<std::byte>(16 * kBlock);
};

TEST_F(IoGrantTest, CoversWhatLiesWithinTheLun) {
  const IoGrant granted = grant();
  EXPECT_TRUE(granted.covers({false, 0, 8}, 8 * kBlock, kReads));
  EXPECT_TRUE(granted.covers({true, kBlocks - 1, 1}, kBlock, kAll));
  EXPECT_FALSE(granted.covers({true, kBlocks, 1}, kBlock, kAll));
  EXPECT_FALSE(granted.covers({true, kBlocks - 1, 2}, 2 * kBlock, kAll));
  EXPECT_FALSE(granted.covers({false, UINT64_MAX, 1}, kBlock, kAll));
  EXPECT_FALSE(granted.covers({false, UINT64_MAX - 3, 8}, 8 * kBlock, kAll));
  EXPECT_FALSE(granted.covers({false, 0, 9}, 9 * kBlock, kAll)) << "more than the largest transfer";
  EXPECT_FALSE(granted.covers({false, 0, UINT32_MAX}, kBlock, kAll));
}

TEST_F(IoGrantTest, CoversOnlyWhatTheInitiatorMovesToTheByte) {
  EXPECT_FALSE(grant().covers({false, 0, 2}, kBlock, kAll));
  EXPECT_FALSE(grant().covers({true, 0, 1}, 2 * kBlock, kAll));
  EXPECT_FALSE(grant().covers({false, 0, 1}, 0, kAll));
}

TEST_F(IoGrantTest, CountsAsFarAsTheWordSays) {
  EXPECT_FALSE(grant().covers({true, 0, 1}, kBlock, kReads));
  EXPECT_FALSE(grant().covers({false, 0, 1}, kBlock, 0));
  EXPECT_FALSE(grant().covers({false, 0, 1}, kBlock, kAll + (1 << channel::kGrantBits)))
      << "of another grant";
  EXPECT_FALSE(IoGrant().covers({false, 0, 1}, kBlock, kAll));
}

TEST_F(IoGrantTest, ReadsIntoThePiecesInTheirOrder) {
  IoGrant granted = grant({4 * kBlock}, kBlocks - 4);
  const std::vector<KernelSegment> pieces{{8 * kBlock, kBlock}, {0, 2 * kBlock}};
  ASSERT_TRUE(granted.carry_out({false, 1, 3}, region, pieces));
  const auto at = before.begin() + 5 * kBlock;
  EXPECT_TRUE(std::equal(at, at + kBlock, region.begin() + 8 * kBlock));
  EXPECT_TRUE(std::equal(at + kBlock, at + 3 * kBlock, region.begin()));
  EXPECT_EQ(region[3 * kBlock], std::byte{0});
}

TEST_F(IoGrantTest, WritesThePiecesAndNothingElse) {
  IoGrant granted = grant();
  std::fill(region.begin(), region.end(), std::byte{0x5a});
  ASSERT_TRUE(granted.carry_out({true, 7, 2}, region, std::vector<KernelSegment>{{kBlock, 2 * kBlock}}));
  auto expected = before;
  std::fill(expected.begin() + 7 * kBlock, expected.begin() + 9 * kBlock, std::byte{0x5a});
  EXPECT_EQ(content(), expected);
}

TEST_F(IoGrantTest, LeavesToTheHostWhatTheFileIsTooShortFor) {
  ASSERT_EQ(::ftruncate(fd(), 10 * kBlock), 0);
  IoGrant granted = grant();
  const std::vector<KernelSegment> piece{{0, 2 * kBlock}};
  EXPECT_FALSE(granted.carry_out({true, 9, 2}, region, piece));
  EXPECT_EQ(::lseek(fd(), 0, SEEK_END), 10 * kBlock) << "the file grew";
  EXPECT_FALSE(granted.carry_out({false, 9, 2}, region, piece));
}

TEST_F(IoGrantTest, TriesEverLessOftenWhatIsInVain) {
  ASSERT_EQ(::ftruncate(fd(), 0), 0);
  IoGrant granted = grant();
  const std::vector<KernelSegment> piece{{0, kBlock}};
  for (int i = 0; i < 8; ++i) EXPECT_FALSE(granted.carry_out({false, 0, 1}, region, piece));
  ASSERT_EQ(::ftruncate(fd(), kBlocks * kBlock), 0);
  int tried = 0;
  while (!granted.carry_out({false, 0, 1}, region, piece)) ASSERT_LT(++tried, 100);
  EXPECT_GT(tried, 0);
  // It has worked, and is tried each time from now on.
  for (int i = 0; i < 8; ++i) EXPECT_TRUE(granted.carry_out({false, 0, 1}, region, piece));
}

TEST_F(IoGrantTest, LeavesToTheHostWhatHasTooManyPieces) {
  std::vector<std::byte> large(kBlock * (IoGrant::kMaxSegments + 1));
  std::vector<KernelSegment> pieces;
  for (std::size_t i = 0; i <= IoGrant::kMaxSegments; ++i) pieces.push_back({i, 1});
  EXPECT_FALSE(grant().carry_out({false, 0, 1}, large, pieces));
}

// Read-only by its access mode: whatever the grant says, nothing is written.
TEST_F(IoGrantTest, LeavesToTheHostWhatItsDescriptorMayNot) {
  const std::string path = "/proc/self/fd/" + std::to_string(fd());
  const auto reader = std::make_shared<const UniqueFd>(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  IoGrant granted({.file = reader,
                   .number = kNumber,
                   .size = {kBlocks * kBlock},
                   .block_bytes = kBlock,
                   .largest_bytes = kBlock,
                   .writable = true,
                   .in_memory = true});
  const std::vector<KernelSegment> piece{{0, kBlock}};
  EXPECT_FALSE(granted.carry_out({true, 0, 1}, region, piece));
  EXPECT_TRUE(granted.carry_out({false, 0, 1}, region, piece));
  EXPECT_EQ(content(), before);
}

}  // namespace
}  // namespace bulkhead::supervisor
