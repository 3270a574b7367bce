// Reads past the page cache that the data path begins by an I/O grant, and what may happen to their commands
// before they are done. Nothing is done here before the test says so: storage can be as slow as it likes.
#include <gtest/gtest.h>
#include <poll.h>

#include <vector>

#include "supervisor/pump/testing/data_path_fixture.h"
#include "supervisor/pump/testing/image_file.h"

namespace bulkhead::supervisor {
namespace {

using testing::DataPathTest;
using testing::FakeHost;
using testing::FakeKernel;
using testing::ImageFile;
using testing::kTestUnitReady;

constexpr std::uint32_t kBlock = ImageFile::kBlock;
constexpr std::uint32_t kReads = 1 << channel::kGrantBits | channel::kGrantReads;

class DirectPathTest : public DataPathTest, protected DirectReads::Reader {
 protected:
  DirectPathTest() { path.set_direct_reads(reads.get(), this); }

  FakeHost& start_granting_host(bool is_disk = true) {
    FakeHost& host = start_host();
    host.set_grant(kReads);
    path.set_grant(IoGrant({.file = image.file(),
                            .number = 1,
                            .size = {std::uint64_t{ImageFile::kBlocks} * kBlock},
                            .block_bytes = kBlock,
                            .largest_bytes = IoGrant::kLargestBytes,
                            .direct = true,
                            .is_disk = is_disk}));
    turn();
    return host;
  }
  std::uint64_t read(std::uint8_t lba, std::uint8_t blocks = 1, std::uint32_t stride = 1) {
    const std::vector<std::uint8_t> cdb{0x28, 0, 0, 0, 0, lba, 0, 0, blocks, 0};
    const auto ticket = kernel.queue(cdb, FakeKernel::Data::In, blocks * kBlock, {}, stride);
    turn();
    return ticket.value();
  }
  // Storage has done all that was begun.
  void storage_answers() {
    EXPECT_FALSE(reads->submit());
    while (reads->under_way() != 0) {
      pollfd event{.fd = reads->fd(), .events = POLLIN, .revents = 0};
      ASSERT_EQ(::poll(&event, 1, 20'000), 1);
      reads->reap();
    }
    turn();
  }
  [[nodiscard]] int status(std::uint64_t ticket) {
    const auto end = kernel.finished(ticket);
    return end ? end->status : -1;
  }
  void answer_next(FakeHost& host) {
    const auto slot = host.next();
    ASSERT_TRUE(slot);
    host.answer(*slot, 0, kBlock);
    turn();
  }

  ImageFile image;
  std::unique_ptr<DirectReads> reads = DirectReads::create().value();

 private:
  void read_done(SlotIndex slot, std::span<const std::byte> data, bool whole) override {
    path.read_done(slot, data, whole);
  }
};

TEST_F(DirectPathTest, ReadsWithoutTheHost) {
  FakeHost& host = start_granting_host();
  const auto first = read(3, 2), second = read(9);
  EXPECT_EQ(status(first), -1) << "storage has not answered";
  storage_answers();
  ASSERT_EQ(status(first), 0);
  ASSERT_EQ(status(second), 0);
  const auto data = kernel.finished(first)->data;
  EXPECT_EQ(data[0], 4);
  EXPECT_EQ(data[kBlock], 5);
  EXPECT_EQ(kernel.finished(second)->data, std::vector<std::uint8_t>(kBlock, 10));
  EXPECT_FALSE(host.next());
  EXPECT_EQ(stats->granted_reads.get(), 2u);
  EXPECT_EQ(stats->kinds[0].bytes.get(), 3 * kBlock);
  EXPECT_EQ(kernel.fault(), "");
}

TEST_F(DirectPathTest, AScatteredBufferIsFilledInItsOrder) {
  start_granting_host();
  const auto ticket = read(20, 8, 2);
  storage_answers();
  ASSERT_EQ(status(ticket), 0);
  for (std::size_t i = 0; i < 8; ++i) EXPECT_EQ(kernel.finished(ticket)->data[i * kBlock], 21 + i);
}

TEST_F(DirectPathTest, WritesAreTheHosts) {
  FakeHost& host = start_granting_host();
  host.set_grant(kReads | channel::kGrantWrites);
  const std::vector<std::uint8_t> write{0x2a, 0, 0, 0, 0, 0, 0, 0, 1, 0};
  kernel.queue(write, FakeKernel::Data::Out, kBlock, pattern(kBlock));
  turn();
  const auto slot = host.next();
  ASSERT_TRUE(slot) << "a write past the page cache could land after its own retry";
  host.answer(*slot);
  EXPECT_EQ(stats->granted_writes.get(), 0u);
}

TEST_F(DirectPathTest, AnAbortedReadIsAnsweredAtOnceAndForgotten) {
  start_granting_host();
  const auto ticket = read(3);
  kernel.queue_tmr(1, std::vector{ticket});
  turn();
  EXPECT_EQ(status(ticket), 0x40);
  // Slot, pages and data area are another command's now.
  const auto next = read(7);
  storage_answers();
  ASSERT_EQ(status(next), 0);
  EXPECT_EQ(kernel.finished(next)->data, std::vector<std::uint8_t>(kBlock, 8));
  EXPECT_EQ(stats->granted_reads.get(), 1u);
  EXPECT_EQ(kernel.fault(), "");
}

TEST_F(DirectPathTest, AReadGoesOnWhenItsHostDies) {
  start_granting_host();
  const auto ticket = read(3);
  kill_host();
  FakeHost& next = start_host();
  EXPECT_FALSE(next.next()) << "two at a time are one too many";
  storage_answers();
  EXPECT_EQ(status(ticket), 0);
  EXPECT_EQ(stats->replayed.get(), 0u);
}

TEST_F(DirectPathTest, WhatFailsIsTheHostsAlsoBehindYoungerOnes) {
  FakeHost& host = start_granting_host();
  const auto ticket = read(3);
  kernel.queue(kTestUnitReady, FakeKernel::Data::None, 0);
  turn();
  ASSERT_TRUE(host.next()) << "the younger one does not wait for storage";
  image.cut();
  storage_answers();
  EXPECT_EQ(status(ticket), -1);
  answer_next(host);
  EXPECT_EQ(status(ticket), 0);
  EXPECT_EQ(stats->grants_missed.get(), 1u);
  EXPECT_EQ(stats->granted_reads.get(), 0u);
}

// While a host is held, the read waits before what the host has: which it has had since then, not for ever.
TEST_F(DirectPathTest, WhatWaitsDoesNotHideWhatYoungerOnesTheHostHas) {
  FakeHost& host = start_granting_host();
  read(3);
  kernel.queue(kTestUnitReady, FakeKernel::Data::None, 0);
  turn();
  ASSERT_TRUE(host.next());
  path.set_held(true);
  image.cut();
  storage_answers();
  const PathLook held = path.look();
  EXPECT_EQ(held.with_host, 1u);
  EXPECT_NE(held.oldest_waiting_ns, 0u);
  EXPECT_EQ(held.oldest.cdb_bytes, kTestUnitReady.size());
  EXPECT_NE(held.oldest.given_ns, 0u);
  path.set_held(false);
  turn();
  const PathLook both = path.look();
  EXPECT_EQ(both.with_host, 2u);
  EXPECT_EQ(both.oldest.given_ns, held.oldest.given_ns) << "the younger one was given first";
}

TEST_F(DirectPathTest, WhatFailsWithoutAHostIsForTheNextOne) {
  start_granting_host();
  const auto ticket = read(3);
  kill_host();
  image.cut();
  storage_answers();
  FakeHost& next = start_host();
  answer_next(next);
  EXPECT_EQ(status(ticket), 0);
}

TEST_F(DirectPathTest, AnAtomicWriteWaitsForReadsThatCouldSeeHalfOfIt) {
  FakeHost& host = start_granting_host();
  const auto ticket = read(3);
  const std::vector<std::uint8_t> atomic{0x9c, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 1, 0, 0};
  kernel.queue(atomic, FakeKernel::Data::Out, kBlock, pattern(kBlock));
  turn();
  EXPECT_FALSE(host.next());
  storage_answers();
  EXPECT_EQ(status(ticket), 0);
  EXPECT_TRUE(host.next());
}

TEST_F(DirectPathTest, AReadThatStorageKeepsTooLongIsTheHosts) {
  FakeHost& host = start_granting_host();
  const auto ticket = read(3);
  EXPECT_NE(path.look().reads_late_ns, 0u);
  turn();
  EXPECT_FALSE(host.next());
  path.set_wait_limits({.read_late_ns = 0});
  EXPECT_EQ(path.look().reads_late_ns, 0u);
  turn();
  answer_next(host);
  EXPECT_EQ(status(ticket), 0);
  storage_answers();
  EXPECT_EQ(stats->granted_reads.get(), 0u);
  EXPECT_EQ(kernel.fault(), "");
}

TEST_F(DirectPathTest, AFileIsReadOnlyWhileNobodySharesThePump) {
  FakeHost& host = start_granting_host(false);
  path.set_shares_pump(true);
  read(3);
  EXPECT_TRUE(host.next()) << "its file system may wait for where the blocks are";
  path.set_shares_pump(false);
  read(4);
  EXPECT_FALSE(host.next());
}

TEST_F(DirectPathTest, WhatIsUnderWayWhenThePumpLeavesIsTheHosts) {
  FakeHost& host = start_granting_host();
  const auto ticket = read(3);
  path.set_direct_reads(nullptr, nullptr);
  reads->leave(*this);
  turn();
  answer_next(host);
  EXPECT_EQ(status(ticket), 0);
}

// A slot that a read leaves is the next command's: nobody may still take it for where waiting ones begin.
TEST_F(DirectPathTest, WhatWaitsBehindAReadIsGivenToAHostThatCameMeanwhile) {
  start_granting_host();
  const auto first = read(3);
  path.set_held(true);
  const auto waiting = kernel.queue(kTestUnitReady, FakeKernel::Data::None, 0).value();
  turn();
  kill_host();
  FakeHost& host = start_host();
  storage_answers();
  EXPECT_EQ(status(first), 0);
  const auto later = kernel.queue(kTestUnitReady, FakeKernel::Data::None, 0).value();
  turn();
  path.set_held(false);
  turn();
  while (const auto slot = host.next()) host.answer(*slot);
  turn();
  EXPECT_EQ(status(waiting), 0);
  EXPECT_EQ(status(later), 0);
}

TEST_F(DirectPathTest, WhatWaitsBehindAReadAndASuspectIsGivenToTheHost) {
  start_host();
  const auto suspect = kernel.queue(kTestUnitReady, FakeKernel::Data::None, 0).value();
  turn();
  kill_host();
  start_granting_host();
  const auto first = read(3);
  kill_host();
  const auto waiting = kernel.queue(kTestUnitReady, FakeKernel::Data::None, 0).value();
  turn();
  FakeHost& host = start_host();
  storage_answers();
  EXPECT_EQ(status(first), 0);
  const auto later = kernel.queue(kTestUnitReady, FakeKernel::Data::None, 0).value();
  turn();
  while (const auto slot = host.next()) {
    host.answer(*slot);
    turn();
  }
  for (const auto ticket : {suspect, waiting, later}) EXPECT_EQ(status(ticket), 0);
}

TEST_F(DirectPathTest, ThoseForWhichThereIsNoRoomAreTheHosts) {
  FakeHost& host = start_granting_host();
  struct : DirectReads::Reader {
    void read_done(SlotIndex, std::span<const std::byte>, bool) override {}
  } others[2];
  for (auto& other : others)
    while (reads->begin(other, {0}, image.file(), {0}, kBlock)) {
    }
  read(3);
  EXPECT_TRUE(host.next());
}

}  // namespace
}  // namespace bulkhead::supervisor
