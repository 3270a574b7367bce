// Commands that the data path does by an I/O grant, and those that it must leave to the host.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "supervisor/pump/testing/data_path_fixture.h"

namespace bulkhead::supervisor {
namespace {

using testing::DataPathTest;
using testing::FakeHost;
using testing::FakeKernel;
using testing::kCompareAndWrite;
using testing::kPages;
using testing::kTestUnitReady;

constexpr std::uint32_t kBlock = 512;
constexpr std::uint64_t kBlocks = 64;
constexpr std::uint32_t kReads = 1 << channel::kGrantBits | channel::kGrantReads;
constexpr std::uint32_t kAll = kReads | channel::kGrantWrites;

std::vector<std::uint8_t> cdb10(std::uint8_t opcode, std::uint8_t lba, std::uint8_t blocks) {
  return {opcode, 0, 0, 0, 0, lba, 0, 0, blocks, 0};
}
std::vector<std::uint8_t> cdb16(std::uint8_t opcode, std::uint8_t lba, std::uint8_t blocks) {
  return {opcode, 0, 0, 0, 0, 0, 0, 0, 0, lba, 0, 0, 0, blocks, 0, 0};
}

class GrantedPathTest : public DataPathTest {
 protected:
  GrantedPathTest() { EXPECT_EQ(::ftruncate(file->get(), kBlocks * kBlock), 0); }

  [[nodiscard]] GrantedFile granted_file() const {
    return {.file = file,
            .number = 1,
            .size = {kBlocks * kBlock},
            .block_bytes = kBlock,
            .largest_bytes = kPages * channel::kPage,
            .writable = true,
            .in_memory = true,
            .nothing_to_flush = true};
  }
  // A host that grants all there is.
  FakeHost& start_granting_host(std::uint32_t word = kAll) {
    FakeHost& host = start_host();
    path.set_grant(IoGrant(granted_file()));
    host.set_grant(word);
    return host;
  }
  std::uint64_t read(std::uint8_t lba, std::uint8_t blocks = 1) {
    const auto ticket = kernel.queue(cdb10(0x28, lba, blocks), FakeKernel::Data::In, blocks * kBlock);
    turn();
    return ticket.value();
  }
  std::uint64_t flush(std::uint8_t lba = 0) {
    const auto ticket = kernel.queue(cdb10(0x35, lba, 0), FakeKernel::Data::None, 0);
    turn();
    return ticket.value();
  }
  std::uint64_t write(std::uint8_t lba, std::uint8_t byte, std::uint8_t blocks = 1) {
    const std::vector<std::uint8_t> data(blocks * kBlock, byte);
    const auto ticket = kernel.queue(cdb10(0x2a, lba, blocks), FakeKernel::Data::Out, data.size(), data);
    turn();
    return ticket.value();
  }
  [[nodiscard]] bool good(std::uint64_t ticket) {
    const auto end = kernel.finished(ticket);
    return end && end->status == 0;
  }
  [[nodiscard]] std::uint8_t in_file(std::uint64_t lba) const {
    std::uint8_t byte = 0;
    EXPECT_EQ(::pread(file->get(), &byte, 1, static_cast<off_t>(lba * kBlock)), 1);
    return byte;
  }

  std::shared_ptr<const UniqueFd> file =
      std::make_shared<const UniqueFd>(::memfd_create("image", MFD_CLOEXEC));
};

TEST_F(GrantedPathTest, ReadsAndWritesWithoutTheHost) {
  FakeHost& host = start_granting_host();
  EXPECT_TRUE(good(write(3, 0x77, 2)));
  const auto ticket = read(3, 2);
  ASSERT_TRUE(good(ticket));
  EXPECT_EQ(kernel.finished(ticket)->data, std::vector<std::uint8_t>(2 * kBlock, 0x77));
  EXPECT_FALSE(host.next());
  EXPECT_EQ(stats->granted_reads.get(), 1u);
  EXPECT_EQ(stats->granted_writes.get(), 1u);
  EXPECT_EQ(stats->kinds[0].commands.get(), 1u);
  EXPECT_EQ(stats->kinds[0].bytes.get(), 2 * kBlock);
  EXPECT_EQ(stats->kinds[1].bytes.get(), 2 * kBlock);
  EXPECT_EQ(kernel.fault(), "");
}

TEST_F(GrantedPathTest, AScatteredBufferIsFilledInItsOrder) {
  start_granting_host();
  for (std::uint8_t i = 0; i < 24; ++i) ASSERT_TRUE(good(write(i, static_cast<std::uint8_t>(i + 1))));
  const auto ticket = kernel.queue(cdb10(0x28, 0, 24), FakeKernel::Data::In, 24 * kBlock, {}, 2);
  turn();
  ASSERT_TRUE(good(*ticket));
  for (std::size_t i = 0; i < 24; ++i) EXPECT_EQ(kernel.finished(*ticket)->data[i * kBlock], i + 1);
}

TEST_F(GrantedPathTest, WithoutTheWordEverythingIsTheHosts) {
  FakeHost& host = start_granting_host(0);
  EXPECT_FALSE(good(read(0)));
  EXPECT_TRUE(host.next());
  host.set_grant(kAll);
  EXPECT_TRUE(good(read(0)));
  host.set_grant(kReads);
  EXPECT_TRUE(good(read(0)));
  EXPECT_FALSE(good(write(0, 1)));
  EXPECT_TRUE(host.next());
  host.set_grant(2 << channel::kGrantBits | channel::kGrantReads);
  EXPECT_FALSE(good(read(0))) << "that is the word of another grant";
}

TEST_F(GrantedPathTest, NoWriteBesideAChangeOfTheSameBlocks) {
  FakeHost& host = start_granting_host(kReads);
  write(4, 1, 2);
  const auto slot = host.next();
  ASSERT_TRUE(slot);
  host.set_grant(kAll);
  const auto overlapping = write(5, 2);
  EXPECT_FALSE(good(overlapping));
  EXPECT_TRUE(good(write(6, 3))) << "it touches no block of the other";
  EXPECT_TRUE(good(read(5))) << "a read returns what was there before or after";
  host.answer(*slot);
  turn();
  const auto second = host.next();
  ASSERT_TRUE(second);
  host.answer(*second);
  turn();
  EXPECT_TRUE(good(overlapping));
  EXPECT_TRUE(good(write(5, 4)));
}

TEST_F(GrantedPathTest, NoWriteBesideAChangeNobodyKnowsTheBlocksOf) {
  FakeHost& host = start_granting_host();
  kernel.queue(kCompareAndWrite, FakeKernel::Data::Out, kBlock, std::vector<std::uint8_t>(kBlock));
  turn();
  const auto slot = host.next();
  ASSERT_TRUE(slot);
  EXPECT_TRUE(good(read(9)));
  EXPECT_FALSE(good(write(9, 1)));
  EXPECT_EQ(in_file(9), 0);
}

TEST_F(GrantedPathTest, NothingBesideAnAtomicWrite) {
  FakeHost& host = start_granting_host();
  kernel.queue(cdb16(0x9c, 0, 1), FakeKernel::Data::Out, kBlock, std::vector<std::uint8_t>(kBlock));
  turn();
  ASSERT_TRUE(host.next());
  EXPECT_FALSE(good(read(0)));
  EXPECT_FALSE(good(write(20, 1)));
}

TEST_F(GrantedPathTest, CommandsThatOnlyLookHinderNothing) {
  FakeHost& host = start_granting_host();
  kernel.queue(kTestUnitReady, FakeKernel::Data::None, 0);
  turn();
  ASSERT_TRUE(host.next());
  EXPECT_TRUE(good(write(20, 1)));
}

TEST_F(GrantedPathTest, FlushesWhatIsInMemoryAtOnce) {
  FakeHost& host = start_granting_host();
  path.set_shares_pump(true);  // nobody waits for it
  EXPECT_TRUE(good(flush()));
  const auto sixteen = kernel.queue(cdb16(0x91, 0, 0), FakeKernel::Data::None, 0);
  turn();
  EXPECT_TRUE(good(*sixteen));
  EXPECT_FALSE(host.next());
  EXPECT_EQ(stats->granted_flushes.get(), 2u);
  EXPECT_FALSE(good(flush(1))) << "of a part";
  EXPECT_TRUE(host.next());
}

TEST_F(GrantedPathTest, AFlushIsTheHostsWithoutItsWordForWrites) {
  FakeHost& host = start_granting_host(kReads);
  EXPECT_FALSE(good(flush()));
  EXPECT_TRUE(host.next());
  host.set_grant(kAll);
  EXPECT_TRUE(good(flush()));
  path.pause_grant(true);
  EXPECT_FALSE(good(flush()));
  EXPECT_TRUE(host.next());
}

TEST_F(GrantedPathTest, AFlushThatStorageHasToDoIsTheHosts) {
  FakeHost& host = start_granting_host();
  GrantedFile stored = granted_file();
  stored.nothing_to_flush = false;
  path.set_grant(IoGrant(stored));
  EXPECT_FALSE(good(flush()));
  EXPECT_TRUE(host.next());
  EXPECT_EQ(stats->granted_flushes.get(), 0u);
}

// The host takes what it finds counted when it begins a flush for answered before: losses.h.
TEST_F(GrantedPathTest, WhatComesBehindAFlushIsNotCountedBeforeIt) {
  FakeHost& host = start_granting_host();
  GrantedFile stored = granted_file();
  stored.nothing_to_flush = false;
  path.set_grant(IoGrant(stored));
  const std::uint32_t before = host.granted_writes();
  kernel.queue(cdb10(0x35, 0, 0), FakeKernel::Data::None, 0);
  EXPECT_FALSE(good(write(3, 0x77)));  // both in one turn
  const auto flush = host.next(), behind = host.next();
  ASSERT_TRUE(flush && behind);
  EXPECT_EQ(host.granted_writes(), before);
  EXPECT_TRUE(good(read(9)));
  host.answer(*flush);
  turn();
  EXPECT_FALSE(good(write(3, 0x78))) << "beside an older one of its block";
  EXPECT_TRUE(good(write(9, 0x78)));
}

// Its initiator would get what lies in the kernel's data area.
TEST_F(GrantedPathTest, AFlushThatIsDeclaredToReadIsTheHosts) {
  FakeHost& host = start_granting_host();
  kernel.queue(cdb10(0x35, 0, 0), FakeKernel::Data::In, kBlock);
  turn();
  EXPECT_TRUE(host.next());
}

TEST_F(GrantedPathTest, SpecialFormsAndOddLengthsAreTheHosts) {
  FakeHost& host = start_granting_host();
  auto force = cdb10(0x2a, 0, 1);
  force[1] = 0x08;
  kernel.queue(force, FakeKernel::Data::Out, kBlock, std::vector<std::uint8_t>(kBlock));
  kernel.queue(cdb10(0x28, 0, 2), FakeKernel::Data::In, kBlock);
  kernel.queue(cdb10(0x28, kBlocks, 1), FakeKernel::Data::In, kBlock);
  turn();
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(host.next()) << i;
  EXPECT_EQ(stats->granted_reads.get() + stats->granted_writes.get(), 0u);
}

TEST_F(GrantedPathTest, AFileInMemoryIsTheHostsToWriteWhileOthersShareThePump) {
  FakeHost& host = start_granting_host();
  path.set_shares_pump(true);
  struct sysinfo machine{};
  ASSERT_EQ(::sysinfo(&machine), 0);
  EXPECT_EQ(good(read(0)), machine.totalswap == 0) << "what is swapped out is waited for";
  EXPECT_FALSE(good(write(0, 1)));
  EXPECT_TRUE(host.next());
  path.set_shares_pump(false);
  EXPECT_TRUE(good(write(8, 1)));
}

TEST_F(GrantedPathTest, WhileItIsPausedEverythingIsTheHosts) {
  start_granting_host();
  path.pause_grant(true);
  EXPECT_FALSE(good(write(0, 1)));
  path.pause_grant(false);
  EXPECT_TRUE(good(read(0)));
}

TEST_F(GrantedPathTest, ItEndsWithItsHost) {
  start_granting_host();
  EXPECT_TRUE(good(read(0)));
  kill_host();
  const auto waiting = read(0);
  EXPECT_FALSE(good(waiting));
  FakeHost& next = start_host();
  next.set_grant(kAll);
  turn();
  EXPECT_TRUE(next.next());
  EXPECT_FALSE(good(waiting)) << "the next host has granted nothing yet";
}

TEST_F(GrantedPathTest, OneThatComesTooLateIsNotForTheNextHost) {
  start_granting_host();
  kill_host();
  path.set_grant(IoGrant(granted_file()));
  FakeHost& next = start_host();
  next.set_grant(kAll);
  EXPECT_FALSE(good(read(0)));
}

TEST_F(GrantedPathTest, HeldCommandsWait) {
  start_granting_host();
  path.set_held(true);
  const auto ticket = read(0);
  EXPECT_FALSE(good(ticket));
  path.set_held(false);
  turn();
  EXPECT_TRUE(good(ticket));
}

TEST_F(GrantedPathTest, WhatFailsIsDoneAgainByTheHost) {
  FakeHost& host = start_granting_host();
  ASSERT_EQ(::ftruncate(file->get(), 0), 0);
  const auto ticket = read(0);
  EXPECT_FALSE(good(ticket));
  EXPECT_EQ(stats->grants_missed.get(), 1u);
  const auto slot = host.next();
  ASSERT_TRUE(slot);
  host.answer(*slot, 0, kBlock);
  turn();
  EXPECT_TRUE(good(ticket));
}

TEST_F(GrantedPathTest, TheHostCanCountTheWrites) {
  FakeHost& host = start_granting_host();
  const std::uint32_t before = host.granted_writes();
  ASSERT_TRUE(good(write(0, 1)));
  ASSERT_TRUE(good(read(0)));
  EXPECT_EQ(host.granted_writes(), before + 2);
}

// More than there is room for at a time: nobody rings when a grant has made some.
TEST_F(GrantedPathTest, GoesOnWithWhatHadNoRoom) {
  start_granting_host();
  std::vector<std::uint64_t> tickets;
  tickets.reserve(8);
  for (int i = 0; i < 8; ++i)
    tickets.push_back(kernel.queue(cdb10(0x28, 0, 64), FakeKernel::Data::In, kBlocks * kBlock).value());
  EXPECT_TRUE(path.work());
  EXPECT_TRUE(good(tickets.front())) << "the kernel hears of what is done before all of it is";
  EXPECT_FALSE(good(tickets.back()));
  turn();
  EXPECT_TRUE(good(tickets.back()));
}

// All slots are free again without an answer of the host's, so nobody wakes the pump for what had to wait.
TEST_F(GrantedPathTest, WhatIsTooLargeGoesOnOnceGrantsHaveMadeRoom) {
  start_granting_host();
  path.set_held(true);
  std::vector<std::uint64_t> small;
  for (std::uint32_t i = 0; i < testing::kSize.slots; ++i) small.push_back(read(0));
  const std::uint8_t blocks = kPages * channel::kPage / kBlock + 1;
  const auto large = kernel.queue(cdb10(0x28, 0, blocks), FakeKernel::Data::In, blocks * kBlock).value();
  small.push_back(read(0));
  path.set_held(false);
  turn();
  for (const auto ticket : small) EXPECT_TRUE(good(ticket));
  ASSERT_TRUE(kernel.finished(large));
  EXPECT_EQ(kernel.finished(large)->status, 2);
}

}  // namespace
}  // namespace bulkhead::supervisor
