// What one host process leaves to the next, by way of the supervisor.
#include <gmock/gmock.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "handler-host/runtime/testing/host_process.h"

namespace bulkhead::host {
namespace {

using control::Message;
using namespace std::chrono_literals;

constexpr std::uint64_t kMebibyte = 1 << 20;
constexpr int kGood = 0x00;
constexpr int kCheckCondition = 0x02;
constexpr int kNotReady = 0x02;
constexpr int kMediumError = 0x03;
constexpr int kHardwareError = 0x04;
constexpr int kUnitAttention = 0x06;

channel::Slot slot_of(const std::vector<std::uint8_t>& cdb, std::uint64_t data_bytes = 0) {
  channel::Slot slot{};
  slot.cdb_bytes = static_cast<decltype(slot.cdb_bytes)>(cdb.size());
  slot.direction = data_bytes > 0 ? channel::Direction::Out : channel::Direction::None;
  slot.data_bytes = data_bytes;
  std::ranges::copy(cdb, std::begin(slot.cdb));
  return slot;
}
channel::Slot test_unit_ready() {
  return slot_of({0x00, 0, 0, 0, 0, 0});
}

channel::Slot synchronize_cache() {
  return slot_of({0x35, 0, 0, 0, 0, 0, 0, 0, 0, 0});
}

class Succession : public ::testing::Test {
 protected:
  void SetUp() override {
    std::ofstream(image).close();
    std::filesystem::resize_file(image, kSize);
  }
  void TearDown() override { std::filesystem::remove(image); }

  // SANITIZE OVERWRITE, IMMED, one pass of a's.
  static int sanitize(HostProcess& host) {
    const std::uint8_t list[] = {1, 0, 0, 1, 'a'};
    std::ranges::copy(std::as_bytes(std::span(list)), host.channel().data(0, sizeof list).begin());
    return host.execute(slot_of({0x48, 0x81, 0, 0, 0, 0, 0, 0, sizeof list, 0}, sizeof list));
  }
  // What the supervisor has when it sees the end of the process: the latest that was told.
  static std::string last_words(HostProcess& host) {
    std::string state = host.facts.unit_state();
    for (Message message = host.next(100ms); message.kind_case() != Message::KIND_NOT_SET;
         message = host.next(100ms))
      if (message.has_device_facts()) state = message.device_facts().unit_state();
    return state;
  }
  static int sense_key_of(HostProcess& host, const channel::Slot& slot) {
    channel::Slot numbered = slot;
    numbered.generation = 1000;
    host.channel().submit(1, numbered);
    host.channel().publish();
    const auto entry = host.channel().wait_completion();
    EXPECT_TRUE(entry && entry->scsi_status == kCheckCondition);
    return entry ? entry->sense[2] & 0x0f : -1;
  }
  // Asks every 10 ms until it is: like any initiator, as nothing tells the end of a background operation.
  void wait_until_ready(HostProcess& host) {
    const auto deadline = std::chrono::steady_clock::now() + 30s;
    while (host.execute(test_unit_ready()) != kGood) {
      ASSERT_LT(std::chrono::steady_clock::now(), deadline) << "still not ready";
      ::usleep(10'000);
    }
  }

  static constexpr std::uint64_t kSize = 256 * kMebibyte;
  const std::string image = ::testing::TempDir() + "/succession-" + std::to_string(::getpid()) + ".img";
};

TEST_F(Succession, ASanitizeWhoseHostIsKilledIsEndedByTheNext) {
  HostProcess host;
  ASSERT_EQ(host.open("file", image, kSize), "");
  ASSERT_EQ(sanitize(host), kGood);
  host.kill();
  HostProcess next;
  next.unit_state = last_words(host);
  EXPECT_NE(next.unit_state, host.facts.unit_state());
  host.wait_end();
  ASSERT_EQ(next.open("file", image, kSize), "");
  EXPECT_EQ(sense_key_of(next, test_unit_ready()), kNotReady);
  wait_until_ready(next);
  EXPECT_EQ(next.close(), "");
  ASSERT_EQ(std::filesystem::file_size(image), kSize);
  std::ifstream file(image, std::ios::binary);
  const std::string erased(kMebibyte, 'a');
  std::string part(kMebibyte, '\0');
  for (std::uint64_t at = 0; at < kSize; at += kMebibyte) {
    ASSERT_TRUE(file.read(part.data(), kMebibyte)) << "at byte " << at;
    ASSERT_EQ(part, erased) << "at byte " << at;
  }
}

// Otherwise the next host would erase what was written after the end.
TEST_F(Succession, TheEndOfASanitizeIsToldBeforeAnythingIsWrittenAgain) {
  HostProcess host;
  ASSERT_EQ(host.open("file", image, kSize), "");
  ASSERT_EQ(sanitize(host), kGood);
  wait_until_ready(host);
  host.kill();
  EXPECT_EQ(last_words(host), host.facts.unit_state());
}

TEST_F(Succession, ACloseStopsASanitizeAndTheNextHostGoesOn) {
  HostProcess host;
  ASSERT_EQ(host.open("null", "?delay_us=20000", kSize), "");
  ASSERT_EQ(sanitize(host), kGood);  // 2048 writes of 20 ms each
  Message close;
  close.mutable_close()->set_id(77);
  const auto before = std::chrono::steady_clock::now();
  host.send(close);
  std::string state;
  Message message = host.next();
  for (; message.has_device_facts(); message = host.next()) state = message.device_facts().unit_state();
  EXPECT_TRUE(message.has_done());
  EXPECT_FALSE(message.done().has_failure());
  EXPECT_LT(std::chrono::steady_clock::now() - before, 4s);
  EXPECT_EQ(host.wait_end(), (HostEnd{true, 0, ""}));
  HostProcess next;
  next.unit_state = state;
  ASSERT_EQ(next.open("null", "?delay_us=20000", kSize), "");
  EXPECT_EQ(sense_key_of(next, test_unit_ready()), kNotReady);
}

TEST_F(Succession, ASanitizeOfAnotherImageIsNotGoneOnWith) {
  HostProcess host;
  ASSERT_EQ(host.open("null", "?delay_us=20000", kSize), "");
  ASSERT_EQ(sanitize(host), kGood);
  host.kill();
  HostProcess next;
  next.unit_state = last_words(host);
  ASSERT_EQ(next.open("file", image, kSize), "");
  EXPECT_EQ(sense_key_of(next, test_unit_ready()), kUnitAttention);
  EXPECT_EQ(sense_key_of(next, test_unit_ready()), kMediumError);
  EXPECT_EQ(next.close(), "");
}

// The last one may have said write_cache=off, and initiators have stopped to ask for flushes.
TEST_F(Succession, AnotherConfigurationIsReportedOnce) {
  HostProcess host;
  ASSERT_EQ(host.open("null", "?delay_us=1", kSize), "");
  EXPECT_EQ(host.execute(test_unit_ready()), kGood);
  host.kill();
  HostProcess next;
  next.unit_state = last_words(host);
  ASSERT_EQ(next.open("null", "?delay_us=2", kSize), "");
  EXPECT_EQ(sense_key_of(next, test_unit_ready()), kUnitAttention);
  EXPECT_EQ(next.execute(test_unit_ready()), kGood);
  next.kill();
  HostProcess third;
  third.unit_state = last_words(next);
  ASSERT_EQ(third.open("null", "?delay_us=2", kSize), "");
  EXPECT_EQ(third.execute(test_unit_ready()), kGood);
}

TEST_F(Succession, AChangeOfCapacityIsReportedOnceThoughItsHostIsKilled) {
  HostProcess host;
  ASSERT_EQ(host.open("null", "", kMebibyte), "");
  Message resize;
  resize.mutable_resize()->set_id(5);
  resize.mutable_resize()->set_size_bytes(2 * kMebibyte);
  host.send(resize);
  host.expect(Message::kDone);
  host.kill();
  HostProcess next;
  next.unit_state = last_words(host);
  ASSERT_EQ(next.open("null", "", 2 * kMebibyte), "");
  EXPECT_EQ(sense_key_of(next, test_unit_ready()), kUnitAttention);
  HostProcess third;
  third.unit_state = last_words(next);
  ASSERT_EQ(third.open("null", "", 2 * kMebibyte), "");
  EXPECT_EQ(third.execute(test_unit_ready()), kGood);
}

TEST_F(Succession, WritesThatALastFlushLostFailTheNextOne) {
  HostProcess told;
  told.writes_lost = true;
  ASSERT_EQ(told.open("file", image, kSize), "");
  told.kill();
  HostProcess next;
  next.unit_state = last_words(told);
  ASSERT_EQ(next.open("file", image, kSize), "");
  EXPECT_EQ(sense_key_of(next, synchronize_cache()), kHardwareError);
  EXPECT_EQ(next.execute(synchronize_cache()), kGood);
}

// Its answer is the last one, and comes while the host sleeps.
TEST_F(Succession, ALossThatIsToldDuringACloseIsNotToldByTheNextHost) {
  HostProcess host;
  ASSERT_EQ(host.open("null", "?delay_us=300000&fail_flush=1", kMebibyte), "");
  channel::Slot flush = synchronize_cache();
  flush.generation = 1;
  host.channel().submit(0, flush);
  host.channel().publish();
  Message close;
  close.mutable_close()->set_id(77);
  host.send(close);
  std::string state = host.facts.unit_state();
  Message message = host.next();
  for (; message.has_device_facts(); message = host.next()) state = message.device_facts().unit_state();
  EXPECT_TRUE(message.has_done());
  const auto entry = host.channel().wait_completion();
  EXPECT_TRUE(entry && entry->scsi_status == kCheckCondition);
  EXPECT_EQ(state, host.facts.unit_state());
}

}  // namespace
}  // namespace bulkhead::host
