// One host process and two supervisors, the second of which goes on with what the first has left.
#include <fcntl.h>
#include <gmock/gmock.h>

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

// INQUIRY of the unit serial number page, which the supervisor must be asked for.
channel::Slot inquire_serial() {
  const std::vector<std::uint8_t> cdb = {0x12, 1, 0x80, 0, 255, 0};
  channel::Slot slot{};
  slot.cdb_bytes = 6;
  slot.direction = channel::Direction::In;
  slot.data_bytes = 255;
  std::ranges::copy(cdb, std::begin(slot.cdb));
  return slot;
}

class Adoption : public ::testing::Test {
 protected:
  void TearDown() override { std::filesystem::remove(image); }
  const std::string& image_of(std::uint64_t bytes) {
    std::ofstream(image).close();
    std::filesystem::resize_file(image, bytes);
    return image;
  }

  const std::string image = ::testing::TempDir() + "/adoption-" + std::to_string(::getpid()) + ".img";
  HostProcess host;
};

TEST_F(Adoption, ServingGoesOnAndTheFactsAreToldAgain) {
  ASSERT_EQ(host.open("file", image_of(kMebibyte), kMebibyte), "");
  EXPECT_EQ(host.execute(ChannelPeer::write16(0, 8, 0)), kGood);
  const auto before = host.facts;
  host.lose_supervisor();
  EXPECT_EQ(host.execute(ChannelPeer::write16(8, 8, 0)), kGood) << "nobody has taken over yet";
  host.adopt();
  EXPECT_EQ(host.facts.SerializeAsString(), before.SerializeAsString());
  EXPECT_EQ(host.facts.size_bytes(), kMebibyte);
  EXPECT_FALSE(host.facts.unit_state().empty());
  EXPECT_THAT(host.log_lines,
              ::testing::Contains("a new supervisor (of a test) has taken over, with 0 commands "
                                  "under way"));
  EXPECT_EQ(host.execute(ChannelPeer::read16(0, 8, 65536)), kGood);
  EXPECT_EQ(host.close(), "");
  EXPECT_EQ(host.wait_end(), (HostEnd{true, 0, ""}));
}

TEST_F(Adoption, CommandsUnderWayAreAnsweredToTheNextSupervisorOnce) {
  ASSERT_EQ(host.open("null", "?delay_us=300000", kMebibyte), "");
  for (std::uint32_t slot = 0; slot < 8; ++slot) {
    channel::Slot request = ChannelPeer::write16(slot, 1, slot * 512);
    request.generation = 100 + slot;
    host.channel().submit(slot, request);
  }
  host.channel().publish();
  ASSERT_TRUE(host.channel().wait_until_host_sleeps());
  host.lose_supervisor();
  host.adopt();
  EXPECT_THAT(host.log_lines, ::testing::Contains(::testing::HasSubstr("with 8 commands under way")));
  unsigned seen = 0;
  for (int i = 0; i < 8; ++i) {
    const auto entry = host.channel().wait_completion();
    ASSERT_TRUE(entry);
    EXPECT_EQ(entry->scsi_status, kGood);
    EXPECT_EQ(entry->generation, 100 + entry->slot);
    seen |= 1u << entry->slot;
  }
  EXPECT_EQ(seen, 0xffu);
  EXPECT_EQ(host.close(), "");
  EXPECT_FALSE(host.channel().next_completion());
}

TEST_F(Adoption, WhatOneSupervisorSubmittedAfterItsLastRingIsTakenWhenTheNextOneRings) {
  ASSERT_EQ(host.open("null", "", kMebibyte), "");
  ASSERT_EQ(host.execute(ChannelPeer::read16(0, 1, 0)), kGood);
  host.channel().submit(3, ChannelPeer::read16(0, 1, 0));  // and no publish(): it died in between
  host.lose_supervisor();
  host.adopt();
  host.channel().publish();
  const auto entry = host.channel().wait_completion();
  ASSERT_TRUE(entry);
  EXPECT_EQ(entry->slot, 3u);
}

TEST_F(Adoption, AnIdentityThatADeadSupervisorWasAskedForIsAskedForAgain) {
  ASSERT_EQ(host.open("null", "", kMebibyte), "");
  host.answer_identity = false;
  channel::Slot inquiry = inquire_serial();
  host.channel().submit(0, inquiry);
  host.channel().publish();
  const Message lost = host.expect(Message::kGetIdentity);
  host.lose_supervisor();
  host.answer_identity = true;
  host.unit_serial = "4711";
  host.adopt();
  const auto entry = host.channel().wait_completion();
  ASSERT_TRUE(entry);
  EXPECT_EQ(entry->scsi_status, kGood);
  const auto page = host.channel().data(0, 8);
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(page.data()) + 4, 4), "4711");
}

// It was asked, and can't know which supervisor had read the question.
TEST_F(Adoption, AHostThatIsOpeningAsksForItsFileAgain) {
  image_of(kMebibyte);
  host.answer_files = false;
  host.start("file");
  Message open;
  open.mutable_open()->set_id(1);
  open.mutable_open()->set_device("user_1/d0");
  open.mutable_open()->set_config(image);
  open.mutable_open()->set_size_bytes(kMebibyte);
  open.mutable_open()->set_block_bytes(512);
  host.send(open);
  const Message lost = host.expect(Message::kOpenFile);
  host.lose_supervisor();
  Message adopt;
  adopt.mutable_adopt()->set_id(99);
  host.send(adopt);
  const Message again = host.expect(Message::kOpenFile);
  EXPECT_EQ(again.open_file().path(), lost.open_file().path());
  const UniqueFd file(::open(image.c_str(), O_RDWR | O_CLOEXEC));
  Message answer;
  answer.mutable_file_opened()->set_id(again.open_file().id());
  host.send(answer, {file.get()});
  host.answer_files = true;
  EXPECT_FALSE(host.expect(Message::kOpened).opened().has_failure());
  EXPECT_EQ(host.expect(Message::kDone).done().id(), 99u);
  EXPECT_EQ(host.execute(ChannelPeer::read16(0, 1, 0)), kGood);
  EXPECT_EQ(host.close(), "");
}

TEST_F(Adoption, TwoAnswersToOneQuestionAreOne) {
  ASSERT_EQ(host.open("file", image_of(kMebibyte), kMebibyte), "");
  Message answer;
  answer.mutable_file_opened()->set_id(1);
  const UniqueFd file(::open(image.c_str(), O_RDWR | O_CLOEXEC));
  host.send(answer, {file.get()});
  host.adopt();
  EXPECT_EQ(host.execute(ChannelPeer::read16(0, 1, 0)), kGood);
}

// Nothing of it is worth keeping: the next supervisor sees it end and starts another.
TEST_F(Adoption, AHostThatHasNothingOpenEnds) {
  host.start("null");
  host.lose_supervisor();
  Message adopt;
  adopt.mutable_adopt()->set_id(1);
  host.send(adopt);
  EXPECT_EQ(host.wait_end().code, 4);
}

}  // namespace
}  // namespace bulkhead::host
