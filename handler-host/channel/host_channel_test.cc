#include "handler-host/channel/host_channel.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <poll.h>
#include <sys/mman.h>

#include <algorithm>
#include <chrono>
#include <set>
#include <thread>
#include <vector>

#include "handler-host/runtime/testing/channel_peer.h"

namespace bulkhead::host {
namespace {

using ::testing::HasSubstr;

constexpr std::uint32_t kSlots = 8;
constexpr std::uint64_t kData = 64 * 1024;

class Channels : public ::testing::Test {
 protected:
  HostChannel map() { return std::move(*HostChannel::map(peer.take_host_fds(), kSlots, kData)); }
  // The reason why the host does not take a channel whose header or size was changed.
  std::string refusal(std::uint32_t slots = kSlots, std::uint64_t data = kData) {
    auto mapped = HostChannel::map(peer.take_host_fds(), slots, data);
    if (mapped) return "accepted";
    EXPECT_EQ(mapped.error().cause, Cause::PeerBroken);
    return mapped.error().what;
  }
  // The reason why the host does not take the next submission.
  static std::string breach(HostChannel& channel) {
    auto taken = channel.take();
    if (taken) return *taken ? "accepted" : "nothing there";
    EXPECT_EQ(taken.error().cause, Cause::PeerBroken);
    return taken.error().what;
  }
  static bool rings(const UniqueFd& doorbell) {
    pollfd one{doorbell.get(), POLLIN, 0};
    return ::poll(&one, 1, 0) == 1;
  }

  ChannelPeer peer{kSlots, kData};
};

TEST_F(Channels, TakesWhatWasPublishedAndNothingBefore) {
  HostChannel channel = map();
  peer.submit(3, ChannelPeer::read16(7, 2, 4096));
  EXPECT_EQ(breach(channel), "nothing there");
  peer.publish();
  auto taken = channel.take();
  ASSERT_TRUE(taken && *taken);
  EXPECT_EQ((*taken)->slot.value, 3u);
  EXPECT_EQ((*taken)->request.cdb[0], 0x88);
  EXPECT_EQ((*taken)->data.size(), 1024u);
  (*taken)->data[0] = std::byte{42};
  EXPECT_EQ(peer.data(4096, 1)[0], std::byte{42});
  EXPECT_EQ(breach(channel), "nothing there");
}

TEST_F(Channels, AnswersBecomeVisibleByPublishAlone) {
  HostChannel channel = map();
  channel::CompletionEntry entry{};
  entry.slot = 5;
  entry.generation = 9;
  channel.put(entry);
  EXPECT_FALSE(peer.next_completion());
  channel.publish();
  const auto seen = peer.next_completion();
  ASSERT_TRUE(seen);
  EXPECT_EQ(seen->slot, 5u);
  EXPECT_EQ(seen->generation, 9u);
}

TEST_F(Channels, RequestsCantBeMappedForWriting) {
  const auto fds = peer.take_host_fds();
  EXPECT_EQ(::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fds[0].get(), 0), MAP_FAILED);
}

TEST_F(Channels, ASleepingHostIsRungOnceAndAnAwakeOneNever) {
  HostChannel channel = map();
  peer.submit(0, ChannelPeer::synchronize_cache());
  peer.publish();
  EXPECT_FALSE(rings(channel.doorbell()));
  EXPECT_FALSE(channel.prepare_sleep());  // there is something: no sleep
  ASSERT_TRUE(channel.take());
  ASSERT_TRUE(channel.prepare_sleep());
  peer.submit(1, ChannelPeer::synchronize_cache());
  peer.publish();
  EXPECT_TRUE(rings(channel.doorbell()));
  channel.drain();
  peer.submit(2, ChannelPeer::synchronize_cache());
  peer.publish();
  EXPECT_FALSE(rings(channel.doorbell()));
}

TEST_F(Channels, TheDoorbellDoesNotBlockWhateverItsFlagsWere) {
  auto fds = peer.take_host_fds();
  ASSERT_EQ(::fcntl(fds[3].get(), F_SETFL, 0), 0);
  HostChannel channel = std::move(*HostChannel::map(std::move(fds), kSlots, kData));
  channel.drain();  // returns
}

TEST_F(Channels, RefusesAnotherNumberOfDescriptors) {
  auto fds = peer.take_host_fds();
  fds.pop_back();
  const auto mapped = HostChannel::map(std::move(fds), kSlots, kData);
  ASSERT_FALSE(mapped);
  EXPECT_THAT(mapped.error().what, HasSubstr("4 descriptors came with Start, there should be 5"));
}

TEST_F(Channels, RefusesSlotsThatAreNoPowerOfTwoOrTooMany) {
  EXPECT_THAT(refusal(7), HasSubstr("7 slots"));
  EXPECT_THAT(refusal(0), HasSubstr("descriptors"));  // they are gone by now
  ChannelPeer other(kSlots, kData);
  EXPECT_FALSE(HostChannel::map(other.take_host_fds(), channel::kMaxSlots * 2, kData));
}

TEST_F(Channels, RefusesFilesOfAnotherSizeThanStartSays) {
  EXPECT_THAT(refusal(1024), HasSubstr("requests has"));
}
TEST_F(Channels, RefusesDataOfAnotherSizeThanStartSays) {
  EXPECT_THAT(refusal(kSlots, kData * 2), HasSubstr("data has 65536 bytes, Start says 131072"));
}
TEST_F(Channels, RefusesAMissingMagicNumber) {
  peer.requests().magic = 0;
  EXPECT_THAT(refusal(), HasSubstr("no magic number"));
}
TEST_F(Channels, RefusesAnotherVersion) {
  peer.requests().version = channel::kChannelVersion + 1;
  EXPECT_THAT(refusal(), HasSubstr("version 3, this host speaks 2"));
}
TEST_F(Channels, RefusesHeadersThatDisagreeWithStart) {
  peer.requests().submit_offset += 4;
  EXPECT_THAT(refusal(), HasSubstr("the header of the requests"));
}
TEST_F(Channels, RefusesCompletionsThatDisagreeWithStart) {
  peer.completions().slots = kSlots * 2;
  EXPECT_THAT(refusal(), HasSubstr("the header of the completions"));
}

TEST_F(Channels, NamesASlotThatDoesNotExist) {
  HostChannel channel = map();
  peer.submit_entry(kSlots);
  peer.publish();
  EXPECT_THAT(breach(channel), HasSubstr("submission of slot 8, there are 8"));
}

TEST_F(Channels, NamesMoreSubmissionsThanSlots) {
  HostChannel channel = map();
  peer.requests().submit_head = kSlots + 1;
  EXPECT_THAT(breach(channel), HasSubstr("9 submissions wait, there are 8 slots"));
}

TEST_F(Channels, NamesABufferOutsideTheData) {
  HostChannel channel = map();
  channel::Slot slots[] = {ChannelPeer::read16(0, 1, kData), ChannelPeer::read16(0, 2, kData - 512),
                           ChannelPeer::read16(0, 1, UINT64_MAX), ChannelPeer::read16(0, 1, 0)};
  slots[3].data_bytes = UINT64_MAX;
  for (std::uint32_t i = 0; i < 4; ++i) {
    peer.submit(i, slots[i]);
    peer.publish();
    EXPECT_THAT(breach(channel), HasSubstr("is not within the data")) << i;
  }
}

TEST_F(Channels, NamesASlotWithoutACommand) {
  HostChannel channel = map();
  channel::Slot slot = ChannelPeer::synchronize_cache();
  slot.cdb_bytes = 0;
  peer.submit(0, slot);
  peer.publish();
  EXPECT_THAT(breach(channel), HasSubstr("no CDB"));
}

// Both sides sleep and wake as in life; every command must come back, whatever the interleaving.
TEST_F(Channels, NoWakeUpIsLostBetweenTwoThreads) {
  HostChannel channel = map();
  constexpr std::uint32_t kCommands = 20000;
  std::thread host([&channel] {
    std::uint32_t served = 0;
    while (served < kCommands) {
      auto taken = channel.take();
      ASSERT_TRUE(taken);
      if (*taken) {
        channel::CompletionEntry entry{};
        entry.slot = (*taken)->slot.value;
        entry.generation = (*taken)->request.generation;
        channel.put(entry);
        ++served;
        if (served % 3 == 0) channel.publish();
        continue;
      }
      channel.publish();
      if (!channel.prepare_sleep()) continue;
      pollfd one{channel.doorbell().get(), POLLIN, 0};
      const int ready = ::poll(&one, 1, 20'000);
      ASSERT_EQ(ready, 1) << "slept through a submission";
      channel.drain();
      channel.wake();
    }
    channel.publish();
  });
  std::vector<std::uint32_t> free{0, 1, 2, 3, 4, 5, 6, 7};
  std::vector<std::uint32_t> generations(kSlots);
  std::uint32_t sent = 0, got = 0;
  while (got < kCommands) {
    while (!free.empty() && sent < kCommands) {
      channel::Slot slot = ChannelPeer::synchronize_cache();
      slot.generation = ++generations[free.back()];
      peer.submit(free.back(), slot);
      free.pop_back();
      ++sent;
    }
    peer.publish();
    const auto entry = peer.wait_completion();
    if (!entry) break;
    EXPECT_EQ(entry->generation, generations[entry->slot]);
    free.push_back(entry->slot);
    ++got;
  }
  host.join();
  EXPECT_EQ(got, kCommands);
}

}  // namespace
}  // namespace bulkhead::host
