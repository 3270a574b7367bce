#include "supervisor/ring/command_ring.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <deque>
#include <random>
#include <vector>

#include "supervisor/ring/testing/fake_kernel.h"

namespace bulkhead::supervisor {
namespace {

using testing::FakeKernel;
using ::testing::HasSubstr;

constexpr std::array<std::uint8_t, 10> kRead10{0x28, 0, 0, 0, 0, 7, 0, 0, 8, 0};
constexpr std::array<std::uint8_t, 6> kTestUnitReady{};
constexpr std::array<std::uint8_t, 16> kWrite16{0x8a};

// A ring under test with the kernel behind it.
struct TestRing {
  explicit TestRing(const FakeKernel::Options& options = {}) : kernel(options) {}
  FakeKernel kernel;
  JournalCursors cursors{};
  CommandRing ring = CommandRing::attach(kernel.region(), cursors).value();
  std::vector<KernelSegment> segments = std::vector<KernelSegment>(64);

  std::optional<RingCommand> take() {
    for (;;) {
      const RingEntry entry = ring.peek().value();
      if (std::holds_alternative<std::monostate>(entry)) return std::nullopt;
      const auto* command = std::get_if<RingCommand>(&entry);
      if (command == nullptr) {
        ring.step_over();
        continue;
      }
      ring.take(*command, segments);
      return *command;
    }
  }
  std::optional<RingTaskManagement> peek_task_management() {
    const RingEntry entry = ring.peek().value();
    const auto* request = std::get_if<RingTaskManagement>(&entry);
    return request == nullptr ? std::nullopt : std::optional(*request);
  }
  void answer_good(CmdId id) {
    ring.answer({.id = id, .scsi_status = 0, .sense = {}, .read_len = 0});
    if (ring.publish()) kernel.kick();
  }
};

TEST(CommandRing, EmptyRingGivesNoCommand) {
  TestRing t;
  EXPECT_FALSE(t.take().has_value());
  EXPECT_FALSE(t.ring.publish());
}

TEST(CommandRing, CommandIsCopiedOutWithCdbLengthAndSegments) {
  TestRing t;
  ASSERT_TRUE(t.kernel.queue(kRead10, FakeKernel::Data::In, 10000, {}, 2));
  auto command = t.take();
  ASSERT_TRUE(command);
  EXPECT_EQ(command->id.value, 1);
  EXPECT_EQ(command->cdb_bytes, 10);
  EXPECT_TRUE(std::equal(kRead10.begin(), kRead10.end(), command->cdb.begin()));
  EXPECT_EQ(command->segments, 3u);
  EXPECT_EQ(command->data_bytes, 10000u);
  EXPECT_EQ(t.segments[2].bytes, 10000u - 8192u);
}

TEST(CommandRing, AResetBehindOurBackIsNoticedAndNothingIsWrittenAnyMore) {
  TestRing t;
  ASSERT_TRUE(t.kernel.queue(kTestUnitReady, FakeKernel::Data::None, 0));
  t.answer_good(t.take()->id);
  ASSERT_TRUE(t.kernel.queue(kTestUnitReady, FakeKernel::Data::None, 0));
  const auto under_way = t.take();
  t.kernel.reset();
  const auto fresh = t.kernel.queue(kRead10, FakeKernel::Data::In, 4096);
  const std::vector<std::byte> before(t.kernel.region().begin(), t.kernel.region().begin() + 4096);
  t.answer_good(under_way->id);
  EXPECT_TRUE(std::equal(before.begin(), before.end(), t.kernel.region().begin()));
  EXPECT_FALSE(t.kernel.finished(*fresh));
  const auto next = t.ring.peek();
  ASSERT_FALSE(next);
  EXPECT_NE(next.error().what.find("the ring was reset"), std::string::npos) << next.error().what;
}

TEST(CommandRing, AnswerReachesItsCommandWhenGivenOutOfOrder) {
  TestRing t;
  auto first = t.kernel.queue(kTestUnitReady, FakeKernel::Data::None, 0);
  auto second = t.kernel.queue(kTestUnitReady, FakeKernel::Data::None, 0);
  auto a = t.take();
  auto b = t.take();
  t.answer_good(b->id);
  EXPECT_TRUE(t.kernel.finished(*second));
  EXPECT_FALSE(t.kernel.finished(*first));
  t.answer_good(a->id);
  EXPECT_TRUE(t.kernel.finished(*first));
  EXPECT_EQ(t.kernel.fault(), "");
  EXPECT_EQ(t.kernel.tail(), t.kernel.head());
}

TEST(CommandRing, CheckConditionCarriesSenseAndZeroesTheRestOfIt) {
  TestRing t;
  auto ticket = t.kernel.queue(kRead10, FakeKernel::Data::In, 4096);
  const std::array<std::uint8_t, 4> sense{0x70, 0, 5, 9};
  t.ring.answer({.id = t.take()->id, .scsi_status = 2, .sense = sense, .read_len = 0});
  ASSERT_TRUE(t.ring.publish());
  t.kernel.kick();
  auto result = t.kernel.finished(*ticket);
  ASSERT_TRUE(result);
  EXPECT_EQ(result->status, 2);
  EXPECT_EQ(result->sense[3], 9);
  EXPECT_TRUE(std::all_of(result->sense.begin() + 4, result->sense.end(), [](auto b) { return b == 0; }));
}

TEST(CommandRing, ReadLenIsStatedOnlyWhereTheKernelKnowsIt) {
  for (bool known : {true, false}) {
    TestRing t({.ring_bytes = 4096, .data_blocks = 64, .read_len = known});
    auto ticket = t.kernel.queue(kRead10, FakeKernel::Data::In, 4096);
    t.ring.answer({.id = t.take()->id, .scsi_status = 0, .sense = {}, .read_len = 36});
    ASSERT_TRUE(t.ring.publish());
    t.kernel.kick();
    EXPECT_EQ(t.kernel.finished(*ticket)->read_len.has_value(), known);
    EXPECT_EQ(t.kernel.finished(*ticket)->data.size(), known ? 36u : 4096u);
  }
}

TEST(CommandRing, LoneTaskManagementEntryLetsTheTailMeetTheHead) {
  TestRing t;
  t.kernel.queue_tmr();
  EXPECT_FALSE(t.take());
  EXPECT_TRUE(t.ring.publish());
  EXPECT_EQ(t.kernel.tail(), t.kernel.head());
}

TEST(CommandRing, TaskManagementEntryBetweenCommandsIsNoCarrier) {
  TestRing t;
  auto first = t.kernel.queue(kTestUnitReady, FakeKernel::Data::None, 0);
  t.kernel.queue_tmr();
  auto second = t.kernel.queue(kTestUnitReady, FakeKernel::Data::None, 0);
  auto a = t.take();
  auto b = t.take();
  t.answer_good(b->id);
  t.answer_good(a->id);
  EXPECT_TRUE(t.kernel.finished(*first) && t.kernel.finished(*second));
  EXPECT_EQ(t.kernel.fault(), "");
}

TEST(CommandRing, TaskManagementNamesItsFunctionAndCommands) {
  TestRing t;
  std::vector<std::uint64_t> tickets;
  for (int i = 0; i < 3; ++i) tickets.push_back(*t.kernel.queue(kTestUnitReady, FakeKernel::Data::None, 0));
  const auto a = t.take(), b = t.take(), c = t.take();
  t.kernel.queue_tmr(5, std::vector{tickets[2], tickets[0]});
  const auto request = t.peek_task_management();
  ASSERT_TRUE(request);
  EXPECT_EQ(request->function, 5);
  ASSERT_EQ(request->size(), 2u);
  EXPECT_EQ(request->id(0), c->id);
  EXPECT_EQ(request->id(1), a->id);
  t.ring.take_without_data();
  EXPECT_FALSE(t.take());
  for (const auto& command : {a, b, c}) t.answer_good(command->id);
  EXPECT_EQ(t.kernel.tail(), t.kernel.head());
  EXPECT_EQ(t.kernel.fault(), "");
}

TEST(CommandRing, TaskManagementWithoutCommandsIsTheShortestEntry) {
  TestRing t;
  t.kernel.queue_tmr(1);
  const auto request = t.peek_task_management();
  ASSERT_TRUE(request);
  EXPECT_EQ(request->function, 1);
  EXPECT_EQ(request->size(), 0u);
}

TEST(CommandRing, AKernelWithoutTaskManagementHasNoSuchEntries) {
  TestRing t({.ring_bytes = 4096, .data_blocks = 64, .read_len = true, .task_management = false});
  t.kernel.queue_tmr(1);
  ASSERT_TRUE(t.kernel.queue(kTestUnitReady, FakeKernel::Data::None, 0));
  EXPECT_FALSE(t.peek_task_management());
  EXPECT_TRUE(t.take());
}

TEST(CommandRing, MalformedTaskManagementIsRefusedByName) {
  struct Lie {
    std::size_t field;
    std::uint32_t value;
    const char* text;
  };
  // Entry of 40 bytes: room for four ids.
  for (const Lie& lie :
       {Lie{0, 24 | 2, "task management entry too short"}, Lie{12, 5, "5 command ids do not fit in 40 bytes"},
        Lie{12, 0xffffffff, "4294967295 command ids do not fit in 40 bytes"}}) {
    TestRing t;
    const auto ticket = t.kernel.queue(kTestUnitReady, FakeKernel::Data::None, 0);
    ASSERT_TRUE(t.take());
    const std::size_t at = 128 + t.kernel.head();
    t.kernel.queue_tmr(1, std::vector(4, *ticket));
    std::memcpy(t.kernel.region().data() + at + lie.field, &lie.value, sizeof lie.value);
    const auto refused = t.ring.peek();
    ASSERT_FALSE(refused.has_value()) << lie.text;
    EXPECT_EQ(refused.error().cause, Cause::PeerBroken);
    EXPECT_THAT(refused.error().what, HasSubstr(lie.text));
  }
}

TEST(CommandRing, ThousandsOfCommandsWrapTheRingAndEachIsAnsweredOnce) {
  TestRing t({.ring_bytes = 1048, .data_blocks = 16, .read_len = true});
  std::mt19937 random(7);
  std::deque<RingCommand> in_flight;
  std::vector<std::uint64_t> tickets;
  for (int round = 0; round < 20000; ++round) {
    const bool out = random() % 2 == 0;
    const std::vector<std::uint8_t> data(random() % 3 * 3000, 0x11);
    auto ticket = out ? t.kernel.queue(kWrite16, FakeKernel::Data::Out, data.size(), data, 1 + random() % 2)
                      : t.kernel.queue(kTestUnitReady, FakeKernel::Data::None, 0);
    if (ticket) tickets.push_back(*ticket);
    if (random() % 2 == 0)
      while (auto command = t.take()) in_flight.push_back(*command);
    while (!in_flight.empty() && random() % 3 != 0) {
      const std::size_t which = random() % in_flight.size();
      t.ring.answer({.id = in_flight[which].id, .scsi_status = 0, .sense = {}, .read_len = 0});
      in_flight.erase(in_flight.begin() + static_cast<std::ptrdiff_t>(which));
    }
    if (t.ring.publish()) t.kernel.kick();
    ASSERT_EQ(t.kernel.fault(), "");
  }
  while (auto command = t.take()) in_flight.push_back(*command);
  for (const RingCommand& command : in_flight) t.answer_good(command.id);
  EXPECT_EQ(t.kernel.running(), 0u);
  for (std::uint64_t ticket : tickets) ASSERT_TRUE(t.kernel.finished(ticket));
}

TEST(CommandRing, UnknownMailboxVersionIsRefusedByName) {
  FakeKernel kernel;
  kernel.region()[0] = std::byte{3};
  JournalCursors cursors{};
  auto ring = CommandRing::attach(kernel.region(), cursors);
  ASSERT_FALSE(ring);
  EXPECT_THAT(ring.error().what, HasSubstr("mailbox version 3"));
}

// Overwrites one field of the first command's entry and expects the ring to be refused with this text.
template <class T>
void expect_refused(std::size_t field, T value, const char* text) {
  TestRing t;
  ASSERT_TRUE(t.kernel.queue(kRead10, FakeKernel::Data::In, 4096));
  std::memcpy(t.kernel.region().data() + 128 + field, &value, sizeof value);
  auto command = t.ring.peek();
  ASSERT_FALSE(command.has_value()) << text;
  EXPECT_EQ(command.error().cause, Cause::PeerBroken);
  EXPECT_THAT(command.error().what, HasSubstr(text));
}

TEST(CommandRing, MalformedEntriesAreRefusedByName) {
  expect_refused<std::uint32_t>(0, 0x1, "length 0");
  expect_refused<std::uint32_t>(0, 0x10001, "does not fit");
  expect_refused<std::uint32_t>(0, 0x41, "too short");
  expect_refused<std::uint32_t>(0, 0x1000, "beyond the head");     // a PAD, head within it
  expect_refused<std::uint32_t>(0, 0x88 | 1, "beyond the head");   // a command, head within it
  expect_refused<std::uint32_t>(0, 0xfe8 | 2, "beyond the head");  // task management, head within it
  expect_refused<std::uint32_t>(8, 1u << 20, "segments do not fit");
  expect_refused<std::uint64_t>(24, 0, "CDB outside");
  expect_refused<std::uint64_t>(24, ~0ull, "CDB outside");
  expect_refused<std::uint64_t>(48, 64, "outside of the data area");
  expect_refused<std::uint64_t>(56, ~0ull, "outside of the data area");
}

// A supervisor that died in between, and the next one over the same memory.
CommandRing successor(TestRing& t) {
  return CommandRing::adopt(t.kernel.region(), t.cursors).value();
}

TEST(CommandRing, SuccessorGoesOnWhereTheLastOneStopped) {
  TestRing t;
  const auto first = *t.kernel.queue(kTestUnitReady, FakeKernel::Data::None, 0);
  const auto second = *t.kernel.queue(kTestUnitReady, FakeKernel::Data::None, 0);
  const auto taken = t.take();
  t.ring = successor(t);
  EXPECT_EQ(t.ring.sequence(), 1u);
  const auto next = t.take();
  ASSERT_TRUE(next);
  EXPECT_NE(next->id, taken->id);
  EXPECT_FALSE(t.take());
  t.answer_good(next->id);
  t.answer_good(taken->id);
  EXPECT_TRUE(t.kernel.finished(first));
  EXPECT_TRUE(t.kernel.finished(second));
  EXPECT_EQ(t.kernel.fault(), "");
}

TEST(CommandRing, AnswerThatWasNotPublishedIsPublishedByTheSuccessorOnce) {
  TestRing t;
  const auto ticket = *t.kernel.queue(kTestUnitReady, FakeKernel::Data::None, 0);
  t.ring.answer({.id = t.take()->id, .sequence = 0, .scsi_status = 0x18});
  t.ring = successor(t);
  EXPECT_TRUE(t.ring.publish());
  t.kernel.kick();
  EXPECT_EQ(t.kernel.finished(ticket)->status, 0x18);
  t.ring = successor(t);
  EXPECT_FALSE(t.ring.publish());
  EXPECT_EQ(t.kernel.fault(), "");
}

TEST(CommandRing, SuccessorFindsThePlaceBeyondTaskManagementThatWasPublished) {
  TestRing t;
  t.kernel.queue_tmr();
  ASSERT_TRUE(t.peek_task_management());
  t.ring.step_over();
  EXPECT_TRUE(t.ring.publish());
  t.ring = successor(t);
  EXPECT_FALSE(t.ring.publish());
  const auto ticket = *t.kernel.queue(kTestUnitReady, FakeKernel::Data::None, 0);
  t.answer_good(t.take()->id);
  EXPECT_TRUE(t.kernel.finished(ticket));
  EXPECT_EQ(t.kernel.fault(), "");
}

TEST(CommandRing, RingThatWasResetWhileNobodyServedItIsNotAdopted) {
  TestRing t;
  for (int i = 0; i < 2; ++i) t.kernel.queue(kTestUnitReady, FakeKernel::Data::None, 0);
  t.answer_good(t.take()->id);
  t.answer_good(t.take()->id);
  t.kernel.reset();
  EXPECT_EQ(CommandRing::adopt(t.kernel.region(), t.cursors).error().cause, Cause::PeerBroken);
}

TEST(CommandRing, JournalThatPointsBeyondTheHeadIsNotAdopted) {
  TestRing t;
  t.kernel.queue(kTestUnitReady, FakeKernel::Data::None, 0);
  t.cursors.taken = RingMark(1, 2048);
  EXPECT_EQ(CommandRing::adopt(t.kernel.region(), t.cursors).error().cause, Cause::PeerBroken);
}

}  // namespace
}  // namespace bulkhead::supervisor
