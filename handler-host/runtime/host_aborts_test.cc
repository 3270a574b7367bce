// The real program, told that the kernel has aborted commands.
#include <gmock/gmock.h>

#include <chrono>
#include <initializer_list>

#include "handler-host/runtime/testing/host_process.h"
#include "proto/task_management.h"

namespace bulkhead::host {
namespace {

using control::Message;
using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr std::uint64_t kMebibyte = 1 << 20;

// Message TaskManagement for these slots in generation 7.
Message aborted(TaskFunction function, std::initializer_list<std::uint32_t> slots) {
  Message message;
  message.mutable_task_management()->set_function(static_cast<std::uint32_t>(function));
  for (const std::uint32_t slot : slots) {
    auto* listed = message.mutable_task_management()->add_listed();
    listed->set_slot(slot);
    listed->set_generation(7);
  }
  return message;
}

TEST(HostAborts, AnswersAbortedCommandsThatHaveNotReachedTheHandler) {
  HostProcess host;
  ASSERT_EQ(host.open("null", "?delay_us=1000000", kMebibyte), "");
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  for (std::uint32_t slot = 0; slot < 3; ++slot) {
    channel::Slot request = ChannelPeer::write16(100, 8, slot * 4096);
    request.generation = 7;
    request.arrived_ns = static_cast<std::uint64_t>(std::chrono::nanoseconds(now - 31s).count());
    host.channel().submit(slot, request);
  }
  host.channel().publish();
  // The younger ones wait for the oldest, which the handler has; one listed slot is idle, one does not exist.
  host.send(aborted(TaskFunction::LunReset, {0, 1, 2, 9, kTestSlots}));
  for (const std::uint32_t slot : {2u, 1u}) {
    const auto entry = host.channel().wait_completion();
    ASSERT_TRUE(entry);
    EXPECT_EQ(entry->slot, slot);
    EXPECT_EQ(entry->generation, 7u);
    EXPECT_EQ(entry->scsi_status, 0x40);
  }
  const auto entry = host.channel().wait_completion();
  ASSERT_TRUE(entry);
  EXPECT_EQ(entry->slot, 0u);
  EXPECT_EQ(entry->scsi_status, 0x00);
  host.send(aborted(TaskFunction::AbortTask, {0}));
  EXPECT_EQ(host.close(), "");
  ASSERT_EQ(host.log_lines.size(), 2u);
  EXPECT_THAT(host.log_lines[0],
              AllOf(HasSubstr("LOGICAL UNIT RESET for 3 commands, the oldest WRITE(16) LBA 100, 8 blocks ["),
                    HasSubstr("], under way for 31."),
                    HasSubstr(" s; 2 ended that had not reached the handler, 1 to end when it answers")));
  EXPECT_EQ(host.log_lines[1], "ABORT TASK: no command of it is under way here");
}

TEST(HostAborts, AnAbortOfAnEarlierCommandInTheSlotTouchesNothing) {
  HostProcess host;
  ASSERT_EQ(host.open("null", "?delay_us=1000000", kMebibyte), "");
  for (std::uint32_t slot = 0; slot < 2; ++slot) {
    channel::Slot request = ChannelPeer::write16(0, 1, slot * 4096);
    request.generation = 8;
    host.channel().submit(slot, request);
  }
  host.channel().publish();
  host.send(aborted(TaskFunction::AbortTask, {1}));
  for (const std::uint32_t slot : {0u, 1u}) {
    const auto entry = host.channel().wait_completion();
    ASSERT_TRUE(entry);
    EXPECT_EQ(entry->slot, slot);
    EXPECT_EQ(entry->scsi_status, 0x00);
  }
  EXPECT_EQ(host.close(), "");
}

}  // namespace
}  // namespace bulkhead::host
