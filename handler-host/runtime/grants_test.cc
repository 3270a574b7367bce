#include "handler-host/runtime/grants.h"

#include <gtest/gtest.h>

#include "base/shared_memory.h"
#include "handler-host/runtime/testing/channel_peer.h"
#include "proto/channel_abi.h"

namespace bulkhead::host {
namespace {

constexpr std::uint32_t kSlots = 8;
constexpr std::uint64_t kData = 64 * 1024;
constexpr scsi::Granted kReads{.reads = true}, kAll{.reads = true, .writes = true};
constexpr std::uint32_t kMegabyte = 1 << 20;

class GrantsTest : public ::testing::Test {
 protected:
  [[nodiscard]] std::uint32_t word() const { return load_acquire(peer.completions().grant); }

  ChannelPeer peer{kSlots, kData};
  HostChannel channel = HostChannel::map(peer.take_host_fds(), kSlots, kData).value();
  Grants grants{channel};
};

TEST_F(GrantsTest, WithoutAnOfferTheWordStaysZero) {
  EXPECT_FALSE(grants.offer(std::nullopt, {kMegabyte}, 4096));
  grants.show(kAll);
  EXPECT_EQ(word(), 0u);
  EXPECT_FALSE(grants.offered());
}

TEST_F(GrantsTest, TheWordSaysWhatCountsOfWhichOffer) {
  const auto offer = grants.offer(handler::IoGrant{.first = {4096}}, {kMegabyte}, 65536);
  ASSERT_TRUE(offer);
  EXPECT_EQ(offer->io_grant().number(), 1u);
  EXPECT_EQ(offer->io_grant().first_byte(), 4096u);
  EXPECT_EQ(offer->io_grant().bytes(), kMegabyte);
  EXPECT_EQ(offer->io_grant().largest_transfer_bytes(), 65536u);
  EXPECT_FALSE(offer->io_grant().direct());
  EXPECT_FALSE(offer->io_grant().nothing_to_flush());
  EXPECT_EQ(word(), 0u) << "nobody has said yet what the unit allows";
  grants.show(kAll);
  EXPECT_EQ(word(), 1u << channel::kGrantBits | channel::kGrantReads | channel::kGrantWrites);
  grants.show(kReads);
  EXPECT_EQ(word(), 1u << channel::kGrantBits | channel::kGrantReads);
  grants.withdraw();
  EXPECT_EQ(word(), 0u);
}

TEST_F(GrantsTest, PastThePageCacheNothingIsToBeWritten) {
  const auto offer = grants.offer(handler::IoGrant{.first = {0}, .direct = true}, {kMegabyte}, 4096);
  ASSERT_TRUE(offer);
  EXPECT_TRUE(offer->io_grant().direct());
  grants.show(kAll);
  EXPECT_EQ(word(), 1u << channel::kGrantBits | channel::kGrantReads);
  ASSERT_TRUE(grants.offer(handler::IoGrant{.first = {0}}, {kMegabyte}, 4096));
  grants.show(kAll);
  EXPECT_EQ(word(), 2u << channel::kGrantBits | channel::kGrantReads | channel::kGrantWrites);
}

TEST_F(GrantsTest, TellsThatThereIsNothingToFlush) {
  const auto offer =
      grants.offer(handler::IoGrant{.first = {0}, .nothing_to_flush = true}, {kMegabyte}, 4096);
  ASSERT_TRUE(offer);
  EXPECT_TRUE(offer->io_grant().nothing_to_flush());
}

TEST_F(GrantsTest, ANewOfferEndsTheLast) {
  ASSERT_TRUE(grants.offer(handler::IoGrant{.first = {0}}, {kMegabyte}, 4096));
  grants.show(kAll);
  const auto next = grants.offer(handler::IoGrant{.first = {0}}, {kMegabyte / 2}, 4096);
  ASSERT_TRUE(next);
  EXPECT_EQ(word(), 0u);
  grants.show(kAll);
  EXPECT_EQ(word() >> channel::kGrantBits, next->io_grant().number());
  EXPECT_EQ(grants.offered()->io_grant().bytes(), kMegabyte / 2);
  EXPECT_FALSE(grants.offer(std::nullopt, {kMegabyte}, 4096));
  grants.show(kAll);
  EXPECT_EQ(word(), 0u);
}

}  // namespace
}  // namespace bulkhead::host
