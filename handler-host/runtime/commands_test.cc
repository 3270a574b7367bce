#include "handler-host/runtime/commands.h"

#include <gtest/gtest.h>

#include "handler-host/runtime/testing/channel_peer.h"
#include "handler-host/scsi/testing/test_lun.h"

namespace bulkhead::host {
namespace {

constexpr std::uint32_t kSlots = 16;
constexpr std::uint64_t kData = 1 << 20;
constexpr std::uint8_t kGood = 0, kCheckCondition = 2;

class CommandsTest : public ::testing::Test {
 protected:
  // A flush in this slot and generation; what it is answered.
  int flush(std::uint32_t slot, std::uint32_t generation, const Commands::Listed& aborted = {}) {
    channel::Slot request = ChannelPeer::synchronize_cache();
    request.generation = generation;
    peer.submit(slot, request);
    peer.publish();
    EXPECT_TRUE(commands.start_all(lun.unit, aborted).value_or(false));
    channel.publish();
    const auto entry = peer.wait_completion();
    return entry ? entry->scsi_status : -1;
  }

  ChannelPeer peer{kSlots, kData};
  HostChannel channel = std::move(*HostChannel::map(peer.take_host_fds(), kSlots, kData));
  scsi::testing::TestLun lun;
  Commands commands{channel};
};

// The word of an abort may come before its command was looked at here.
TEST_F(CommandsTest, ALostWriteIsNotToldToAFlushThatTheKernelHasAborted) {
  const auto listed = [](std::uint32_t slot, std::uint32_t generation) {
    return slot == 3 && generation == 7;
  };
  lun.unit.writes_lost();
  EXPECT_NE(flush(3, 7, listed), -1);
  EXPECT_EQ(flush(3, 8, listed), kCheckCondition) << "that is another one";
  EXPECT_EQ(flush(3, 9), kGood);
}

}  // namespace
}  // namespace bulkhead::host
