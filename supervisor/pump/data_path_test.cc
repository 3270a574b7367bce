#include "supervisor/pump/data_path.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cstring>
#include <string>
#include <vector>

#include "base/log.h"
#include "supervisor/pump/testing/data_path_fixture.h"

namespace bulkhead::supervisor {
namespace {

using namespace testing;

TEST_F(DataPathTest, WriteBringsTheInitiatorsBytesToTheHost) {
  FakeHost& host = start_host();
  const auto data = pattern(9000);
  auto ticket = kernel.queue(kWrite10, FakeKernel::Data::Out, data.size(), data, 2);
  turn();
  auto slot = host.next();
  ASSERT_TRUE(slot);
  EXPECT_EQ(host.slot(*slot).cdb[0], 0x2a);
  EXPECT_EQ(host.slot(*slot).direction, channel::Direction::Out);
  ASSERT_EQ(host.buffer(*slot).size(), data.size());
  EXPECT_EQ(std::memcmp(host.buffer(*slot).data(), data.data(), data.size()), 0);
  host.answer(*slot);
  turn();
  EXPECT_EQ(kernel.finished(*ticket)->status, 0);
  EXPECT_EQ(stats->kinds[1].bytes.get(), 9000u);
}

TEST_F(DataPathTest, ReadBringsTheHostsBytesToTheInitiator) {
  FakeHost& host = start_host();
  auto ticket = kernel.queue(kRead10, FakeKernel::Data::In, 12288, {}, 3);
  turn();
  auto slot = host.next();
  const auto data = pattern(12288);
  std::memcpy(host.buffer(*slot).data(), data.data(), data.size());
  host.answer(*slot, 0, 12288);
  turn();
  EXPECT_EQ(kernel.finished(*ticket)->data, data);
  EXPECT_FALSE(kernel.finished(*ticket)->read_len);
}

TEST_F(DataPathTest, ShortReadIsCutByReadLen) {
  FakeHost& host = start_host();
  auto ticket = kernel.queue(kRead10, FakeKernel::Data::In, 8192);
  turn();
  auto slot = host.next();
  std::memset(host.buffer(*slot).data(), 0x55, 36);
  host.answer(*slot, 0, 36);
  turn();
  EXPECT_EQ(kernel.finished(*ticket)->read_len, 36u);
  EXPECT_EQ(kernel.finished(*ticket)->data, std::vector<std::uint8_t>(36, 0x55));
}

TEST_F(DataPathTest, EmptyGoodReadShowsZeroesAndNoOlderBytes) {
  FakeHost& host = start_host();
  auto ticket = kernel.queue(kRead10, FakeKernel::Data::In, 8192);
  turn();
  host.answer(*host.next(), 0, 0);
  turn();
  EXPECT_EQ(kernel.finished(*ticket)->data, std::vector<std::uint8_t>(8192, 0));
}

TEST_F(DataPathTest, CommandWithoutDataThatIsSaidToReadShowsNoOlderBytes) {
  FakeHost& host = start_host();
  const auto older = pattern(8192);
  kernel.queue(kWrite10, FakeKernel::Data::Out, older.size(), older);
  turn();
  host.answer(*host.next());
  turn();
  auto ticket = kernel.queue(kTestUnitReady, FakeKernel::Data::In, 8192);
  turn();
  host.answer(*host.next());
  turn();
  EXPECT_EQ(kernel.finished(*ticket)->data, std::vector<std::uint8_t>(8192, 0));
}

TEST_F(DataPathTest, UnknownOpcodeIsFilledAndTakenBack) {
  FakeHost& host = start_host();
  const auto data = pattern(4096);
  auto ticket = kernel.queue(kVendorCommand, FakeKernel::Data::Out, data.size(), data);
  turn();
  auto slot = host.next();
  EXPECT_EQ(std::memcmp(host.buffer(*slot).data(), data.data(), data.size()), 0);
  host.answer(*slot, 0, 10);
  turn();
  EXPECT_EQ(kernel.finished(*ticket)->status, 0);
  EXPECT_TRUE(broken_rules.empty());
}

TEST_F(DataPathTest, CommandsAreToldOneByOneAtTheHighestLogLevelOnly) {
  start_logging({.level = Level::Debug});
  kernel.queue(kTestUnitReady, FakeKernel::Data::None, 0);
  turn();
  set_log_level(Level::DebugScsi);
  kernel.queue(kRead10, FakeKernel::Data::In, 4096);
  turn();
  set_log_level(Level::Info);
  ASSERT_EQ(taken.size(), 1u);
  EXPECT_TRUE(taken[0].starts_with("28 00 00 00 00 00 00 00 00 00")) << taken[0];
}

TEST_F(DataPathTest, CommandsBeforeTheFirstHostWaitForIt) {
  auto ticket = kernel.queue(kTestUnitReady, FakeKernel::Data::None, 0);
  turn();
  EXPECT_EQ(path.in_flight(), 1u);
  FakeHost& host = start_host();
  host.answer(*host.next());
  turn();
  EXPECT_EQ(kernel.finished(*ticket)->status, 0);
}

TEST_F(DataPathTest, HeldCommandsWaitUntilReleased) {
  FakeHost& host = start_host();
  path.set_held(true);
  ASSERT_TRUE(kernel.queue(kTestUnitReady, FakeKernel::Data::None, 0));
  turn();
  EXPECT_FALSE(host.next());
  path.set_held(false);
  turn();
  EXPECT_TRUE(host.next());
}

TEST_F(DataPathTest, IdleIsToldOnceWhenAHeldHostHasAnsweredWhatItHad) {
  FakeHost& host = start_host();
  ASSERT_TRUE(kernel.queue(kTestUnitReady, FakeKernel::Data::None, 0));
  turn();
  path.set_held(true);
  path.call_when_idle();
  ASSERT_TRUE(kernel.queue(kTestUnitReady, FakeKernel::Data::None, 0));
  turn();
  EXPECT_EQ(idle_calls, 0);
  host.answer(*host.next());
  turn();
  turn();
  EXPECT_EQ(idle_calls, 1);
  EXPECT_EQ(path.in_flight(), 1u);
}

TEST_F(DataPathTest, MoreCommandsThanSlotsStayInTheRingAndAreServedLater) {
  FakeHost& host = start_host();
  std::vector<std::uint64_t> tickets;
  for (int i = 0; i < 20; ++i) tickets.push_back(*kernel.queue(kTestUnitReady, FakeKernel::Data::None, 0));
  turn();
  EXPECT_EQ(path.in_flight(), 8u);
  for (int i = 0; i < 20; ++i) {
    auto slot = host.next();
    ASSERT_TRUE(slot) << i;
    host.answer(*slot);
    turn();
  }
  for (auto ticket : tickets) EXPECT_TRUE(kernel.finished(ticket));
  EXPECT_EQ(kernel.fault(), "");
}

TEST_F(DataPathTest, CommandLargerThanTheChannelIsRefusedAndTheNextOneServed) {
  FakeHost& host = start_host();
  auto huge = kernel.queue(kRead10, FakeKernel::Data::In, 17 * channel::kPage);
  auto next = kernel.queue(kTestUnitReady, FakeKernel::Data::None, 0);
  turn();
  EXPECT_EQ(kernel.finished(*huge)->status, 2);
  EXPECT_EQ(kernel.finished(*huge)->sense[2], 0x05);
  host.answer(*host.next());
  turn();
  EXPECT_EQ(kernel.finished(*next)->status, 0);
}

TEST_F(DataPathTest, HostDeathReplaysWhatItHadOldestFirstWithFreshData) {
  FakeHost& first = start_host();
  const auto data = pattern(4096);
  auto write = kernel.queue(kWrite10, FakeKernel::Data::Out, data.size(), data);
  auto read = kernel.queue(kRead10, FakeKernel::Data::In, 4096);
  turn();
  // The dying host scribbles over its buffer: the replay must come from the kernel's data area.
  std::memset(first.buffer(*first.next()).data(), 0, 4096);
  kill_host();
  EXPECT_FALSE(kernel.finished(*write));
  FakeHost& second = start_host();
  auto slot = second.next();
  EXPECT_EQ(second.slot(*slot).cdb[0], 0x2a);
  EXPECT_EQ(second.slot(*slot).replays, 1u);
  EXPECT_EQ(std::memcmp(second.buffer(*slot).data(), data.data(), data.size()), 0);
  second.answer(*slot);
  second.answer(*second.next(), 0, 4096);
  turn();
  EXPECT_EQ(kernel.finished(*write)->status, 0);
  EXPECT_EQ(kernel.finished(*read)->status, 0);
  EXPECT_EQ(stats->replayed.get(), 2u);
}

TEST_F(DataPathTest, ReplayComesFromOurRecordThoughTheRingEntryIsOverwritten) {
  FakeHost& first = start_host();
  auto slow = kernel.queue(kRead10, FakeKernel::Data::In, 4096);
  auto quick = kernel.queue(kTestUnitReady, FakeKernel::Data::None, 0);
  turn();
  first.next();
  first.answer(*first.next());  // its answer goes into the slow command's entry
  turn();
  EXPECT_TRUE(kernel.finished(*quick));
  kill_host();
  FakeHost& second = start_host();
  auto slot = second.next();
  EXPECT_EQ(second.slot(*slot).cdb[0], 0x28);
  second.answer(*slot, 0, 4096);
  turn();
  EXPECT_EQ(kernel.finished(*slow)->status, 0);
  EXPECT_EQ(kernel.fault(), "");
}

TEST_F(DataPathTest, CompletionsAlreadyPostedByADeadHostCount) {
  FakeHost& host = start_host();
  auto ticket = kernel.queue(kTestUnitReady, FakeKernel::Data::None, 0);
  turn();
  host.answer(*host.next());
  kill_host();
  EXPECT_EQ(kernel.finished(*ticket)->status, 0);
  EXPECT_EQ(path.in_flight(), 0u);
}

TEST_F(DataPathTest, CompareAndWriteIsNotReplayedButAborted) {
  FakeHost& host = start_host();
  auto ticket = kernel.queue(kCompareAndWrite, FakeKernel::Data::Out, 1024, pattern(1024));
  turn();
  host.next();
  kill_host();
  EXPECT_EQ(kernel.finished(*ticket)->status, 2);
  EXPECT_EQ(kernel.finished(*ticket)->sense[2], 0x0b);
}

TEST_F(DataPathTest, NeverStartedCompareAndWriteSurvivesAHostDeath) {
  path.set_held(true);
  start_host();
  auto ticket = kernel.queue(kCompareAndWrite, FakeKernel::Data::Out, 1024, pattern(1024));
  turn();
  kill_host();
  EXPECT_FALSE(kernel.finished(*ticket));
}

TEST_F(DataPathTest, PoisonCommandIsTriedAloneThenFailedAndTheOthersLive) {
  auto poison = kernel.queue(kRead10, FakeKernel::Data::In, 512);
  auto innocent = kernel.queue(kTestUnitReady, FakeKernel::Data::None, 0);
  // The host dies whenever it has taken the READ.
  for (int death = 0; death < 2; ++death) {
    FakeHost& host = start_host();
    EXPECT_EQ(host.slot(*host.next()).cdb[0], 0x28);
    kill_host();
  }
  FakeHost& third = start_host();
  ASSERT_TRUE(third.next());
  EXPECT_FALSE(third.next()) << "a suspect is tried alone";
  kill_host();
  EXPECT_EQ(kernel.finished(*poison)->status, 2);
  EXPECT_EQ(kernel.finished(*poison)->sense[2], 0x04);
  EXPECT_EQ(kernel.finished(*poison)->sense[12], 0x44);
  EXPECT_EQ(poison_cdbs, std::vector<std::uint8_t>{0x28});
  FakeHost& fourth = start_host();
  fourth.answer(*fourth.next());
  turn();
  EXPECT_EQ(kernel.finished(*innocent)->status, 0);
}

TEST_F(DataPathTest, RequestsCannotBeWrittenByTheHost) {
  EXPECT_TRUE(start_host().requests_are_read_only());
}

// Each lie: what it changes in an honest answer, and the rule it must be caught by.
struct Lie {
  const char* rule;
  void (*tell)(channel::CompletionEntry&);
};
constexpr Lie kLies[] = {
    {"slot that does not exist", [](auto& e) { e.slot = 8; }},
    {"slot that does not exist", [](auto& e) { e.slot = 0xffffffff; }},
    {"not in flight", [](auto& e) { e.slot = e.slot == 0 ? 1 : 0; }},
    {"stale generation", [](auto& e) { ++e.generation; }},
    {"stale generation", [](auto& e) { --e.generation; }},
    {"reserved bits", [](auto& e) { e.reserved = 1; }},
    {"status that SAM does not define", [](auto& e) { e.scsi_status = 0x03; }},
    {"more than 96 sense bytes",
     [](auto& e) {
       e.scsi_status = 2;
       e.sense_bytes = 97;
     }},
    {"sense but no CHECK CONDITION", [](auto& e) { e.sense_bytes = 18; }},
    {"without sense", [](auto& e) { e.scsi_status = 2; }},
    {"more data than the command may move", [](auto& e) { e.data_bytes = 4097; }},
    {"more data than the command may move", [](auto& e) { e.data_bytes = 0xffffffff; }},
};

TEST_F(DataPathTest, EveryLieEndsTheHostByNameAndCostsTheCommandNothing) {
  std::size_t told = 0;
  for (const Lie& lie : kLies) {
    FakeHost& liar = start_host();
    auto ticket = kernel.queue(kRead10, FakeKernel::Data::In, 4096);
    turn();
    auto slot = liar.next();
    ASSERT_TRUE(slot);
    auto entry = liar.honest(*slot);
    lie.tell(entry);
    liar.answer_raw(entry);
    turn();
    ASSERT_EQ(broken_rules.size(), ++told) << lie.rule;
    EXPECT_THAT(broken_rules.back(), ::testing::HasSubstr(lie.rule));
    EXPECT_EQ(path.channel(), nullptr);
    path.drop_retired();
    FakeHost& honest = start_host();
    honest.answer(*honest.next(), 0, 4096);
    turn();
    EXPECT_EQ(kernel.finished(*ticket)->status, 0) << lie.rule;
    kill_host();
    path.drop_retired();
  }
  EXPECT_EQ(kernel.fault(), "");
}

TEST_F(DataPathTest, AnsweringTwiceIsCaught) {
  FakeHost& host = start_host();
  ASSERT_TRUE(kernel.queue(kTestUnitReady, FakeKernel::Data::None, 0));
  turn();
  const auto entry = host.honest(*host.next());
  host.answer_raw(entry);
  host.answer_raw(entry);
  turn();
  ASSERT_EQ(broken_rules.size(), 1u);
  EXPECT_EQ(kernel.fault(), "");
}

TEST_F(DataPathTest, AnswerFromAnEarlierLifeOfTheSlotIsCaught) {
  FakeHost& host = start_host();
  ASSERT_TRUE(kernel.queue(kTestUnitReady, FakeKernel::Data::None, 0));
  turn();
  const auto old = host.honest(*host.next());
  host.answer_raw(old);
  turn();
  ASSERT_TRUE(kernel.queue(kTestUnitReady, FakeKernel::Data::None, 0));
  turn();
  ASSERT_EQ(*host.next(), old.slot);
  host.answer_raw(old);
  turn();
  ASSERT_EQ(broken_rules.size(), 1u);
  EXPECT_THAT(broken_rules[0], ::testing::HasSubstr("stale generation"));
}

TEST_F(DataPathTest, ClaimingMoreAnswersThanSlotsIsCaught) {
  FakeHost& host = start_host();
  host.set_completion_head(9);
  turn();
  ASSERT_EQ(broken_rules.size(), 1u);
  EXPECT_THAT(broken_rules[0], ::testing::HasSubstr("more answers than there are slots"));
}

TEST_F(DataPathTest, DataForAWriteIsCaught) {
  FakeHost& host = start_host();
  ASSERT_TRUE(kernel.queue(kWrite10, FakeKernel::Data::Out, 512, pattern(512)));
  turn();
  host.answer(*host.next(), 0, 512);
  turn();
  ASSERT_EQ(broken_rules.size(), 1u);
  EXPECT_THAT(broken_rules[0], ::testing::HasSubstr("reads none"));
}

TEST_F(DataPathTest, DataAreaThatVanishedCostsOnlyTheCommand) {
  // A region whose data area is a mapping of a file that is too short: touching it raises SIGBUS.
  UniqueFd file(::memfd_create("short", 0));
  const std::size_t ring = 128 + 8192;
  const std::size_t bytes = ring / channel::kPage * channel::kPage + 64 * channel::kPage;
  ASSERT_EQ(::ftruncate(file.get(), static_cast<off_t>(bytes)), 0);
  auto map = Mapping::map(file, bytes, Mapping::Access::ReadWrite, "short region").value();
  ASSERT_TRUE(kernel.queue(kWrite10, FakeKernel::Data::Out, 4096, pattern(4096)));
  ASSERT_TRUE(kernel.queue(kTestUnitReady, FakeKernel::Data::None, 0));
  std::memcpy(map.bytes().data(), kernel.region().data(), ring);
  ASSERT_EQ(::ftruncate(file.get(), 2 * channel::kPage), 0);
  auto other_journal = Journal::create(kSize.slots, kPages).value();
  DataPath other(CommandRing::attach(map.bytes(), other_journal->cursors()).value(), other_journal, stats,
                 *this, [] {});
  auto ends = Channel::create(kSize).value();
  other.attach(std::move(ends.channel));
  while (other.turn()) {
  }
  FakeHost host(std::move(ends.host));
  auto slot = host.next();
  ASSERT_TRUE(slot);
  EXPECT_EQ(host.slot(*slot).cdb[0], 0x00) << "the WRITE failed, the command after it goes on";
  EXPECT_EQ(stats->errors[static_cast<std::size_t>(AnswerError::HardwareError)].get(), 1u);
}

TEST_F(DataPathTest, RingThatSomebodyElseResetIsReportedAndAnswersAreKeptOutOfIt) {
  FakeHost& host = start_host();
  auto first = kernel.queue(kRead10, FakeKernel::Data::In, 4096);
  turn();
  host.answer(*host.next(), 0, 4096);
  turn();
  ASSERT_TRUE(kernel.finished(*first));
  kernel.queue(kRead10, FakeKernel::Data::In, 4096);
  turn();
  auto slot = host.next();
  ASSERT_TRUE(slot);
  kernel.reset();
  auto fresh = kernel.queue(kRead10, FakeKernel::Data::In, 4096);
  host.answer(*slot, 0, 4096);
  turn();
  EXPECT_NE(ring_error.find("the ring was reset"), std::string::npos) << ring_error;
  EXPECT_FALSE(kernel.finished(*fresh));
}

TEST_F(DataPathTest, MalformedRingIsReportedOnce) {
  ASSERT_TRUE(kernel.queue(kTestUnitReady, FakeKernel::Data::None, 0));
  std::memset(kernel.region().data() + 128, 0, 4);
  turn();
  EXPECT_THAT(ring_error, ::testing::HasSubstr("length 0"));
  ring_error.clear();
  turn();
  EXPECT_EQ(ring_error, "");
}

TEST_F(DataPathTest, AHostThatRingsBehindEachAnswerMayDoSoForEver) {
  FakeHost& host = start_host();
  for (int i = 0; i < 30'000; ++i) {
    ASSERT_TRUE(kernel.queue(kTestUnitReady, FakeKernel::Data::None, 0));
    turn();
    const auto slot = host.next();
    ASSERT_TRUE(slot);
    host.answer(*slot);
    // The ring may come before its answer is found, or behind.
    if (i % 2 == 0) path.rung();
    turn();
    if (i % 2 != 0) path.rung();
  }
  EXPECT_TRUE(broken_rules.empty());
}

}  // namespace
}  // namespace bulkhead::supervisor
