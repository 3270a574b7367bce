#include "supervisor/device/host_messages.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <optional>
#include <vector>

#include "proto/channel_abi.h"

namespace bulkhead::supervisor {
namespace {

using control::Message;
using ::testing::HasSubstr;

class HostMessagesTest : public ::testing::Test, public HostMessages::Listener {
 protected:
  void hello() override { ++hellos; }
  void walls(Walls walls) override { told = std::move(walls); }
  void answered(std::uint64_t id, Result<> result) override {
    answered_id = id;
    answer = std::move(result);
  }
  void file_wanted(const control::OpenFile& asked) override { files.push_back(asked.path()); }
  void identity_wanted(std::uint64_t) override { ++identities; }
  void said(const control::Log& line) override { lines.push_back(line.text()); }
  void facts(const HostFacts& facts) override {
    size = facts.size_bytes;
    unit_state = facts.unit_state;
  }
  void grant_offered(const GrantOffer& offer) override { offers.push_back(offer); }
  void counter(std::string_view name, std::uint64_t) override { counters.emplace_back(name); }

  std::string take(const Message& message, std::size_t descriptors = 0) {
    return std::string(messages.take(message.SerializePartialAsString(), descriptors));
  }
  std::string greet() {
    Message message;
    message.mutable_hello()->set_protocol_version(1);
    message.mutable_hello()->set_channel_version(channel::kChannelVersion);
    return take(message);
  }
  static Message log_line(const std::string& text) {
    Message message;
    message.mutable_log()->set_level(6);
    message.mutable_log()->set_text(text);
    return message;
  }
  static Message opened(std::uint64_t id, int sys_errno = 0) {
    Message message;
    message.mutable_opened()->set_id(id);
    if (sys_errno != 0) {
      message.mutable_opened()->mutable_failure()->set_sys_errno(sys_errno);
      message.mutable_opened()->mutable_failure()->set_text("why");
    }
    return message;
  }

  HostMessages messages{*this};
  std::optional<Walls> told;
  int hellos = 0, identities = 0;
  std::uint64_t answered_id = 0, size = 0;
  std::string unit_state;
  std::optional<Result<>> answer;
  std::vector<std::string> files, lines, counters;
  std::vector<GrantOffer> offers;
};

TEST_F(HostMessagesTest, IoGrantsMustFitIntoAFile) {
  greet();
  auto offer = [](std::uint32_t number, std::uint64_t first, std::uint64_t bytes) {
    Message message;
    control::IoGrant& grant = *message.mutable_io_grant();
    grant.set_number(number);
    grant.set_first_byte(first);
    grant.set_bytes(bytes);
    grant.set_largest_transfer_bytes(1 << 20);
    return message;
  };
  EXPECT_EQ(take(offer(1, 4096, 1 << 30)), "");
  Message last = offer(2, INT64_MAX - 512, 512);
  last.mutable_io_grant()->set_direct(true);
  last.mutable_io_grant()->set_nothing_to_flush(true);
  EXPECT_EQ(take(last), "");
  ASSERT_EQ(offers.size(), 2u);
  EXPECT_FALSE(offers[0].direct);
  EXPECT_TRUE(offers[1].direct);
  EXPECT_FALSE(offers[0].nothing_to_flush);
  EXPECT_TRUE(offers[1].nothing_to_flush);
  EXPECT_EQ(offers[0].first_byte, 4096u);
  EXPECT_EQ(offers[1].number, 2u);
  EXPECT_THAT(take(offer(0, 0, 512)), HasSubstr("number"));
  EXPECT_THAT(take(offer(1u << 30, 0, 512)), HasSubstr("number"));
  for (const auto& [first, bytes] : {std::pair<std::uint64_t, std::uint64_t>{0, 0},
                                     {0, UINT64_MAX},
                                     {UINT64_MAX, 1},
                                     {INT64_MAX, 1},
                                     {UINT64_MAX - 511, 512}})
    EXPECT_THAT(take(offer(1, first, bytes)), HasSubstr("beyond")) << first << ", " << bytes;
  EXPECT_EQ(offers.size(), 2u);
}

TEST_F(HostMessagesTest, HelloOpensTheConversationOnce) {
  EXPECT_THAT(take(log_line("early")), HasSubstr("before Hello"));
  EXPECT_EQ(greet(), "");
  EXPECT_EQ(take(log_line("fine")), "");
  EXPECT_EQ(lines, std::vector<std::string>{"fine"});
  EXPECT_THAT(greet(), HasSubstr("Hello twice"));
  EXPECT_EQ(hellos, 1);
}

TEST_F(HostMessagesTest, OtherVersionsAreRefusedByName) {
  Message message;
  message.mutable_hello()->set_protocol_version(0);
  message.mutable_hello()->set_channel_version(channel::kChannelVersion);
  EXPECT_THAT(take(message), HasSubstr("protocol version"));
  message.mutable_hello()->set_protocol_version(2);
  message.mutable_hello()->set_channel_version(channel::kChannelVersion + 1);
  EXPECT_THAT(take(message), HasSubstr("channel version"));
}

TEST_F(HostMessagesTest, AnswerReachesItsQuestion) {
  greet();
  const auto id = messages.ask(Message::kOpened);
  EXPECT_EQ(take(opened(id)), "");
  ASSERT_TRUE(answer);
  EXPECT_TRUE(answer->has_value());
  EXPECT_EQ(answered_id, id);
}

TEST_F(HostMessagesTest, FailureCarriesErrnoAndText) {
  greet();
  EXPECT_EQ(take(opened(messages.ask(Message::kOpened), ENOENT)), "");
  EXPECT_EQ(answer->error().sys_errno, ENOENT);
  EXPECT_EQ(answer->error().cause, Cause::NotFound);
  EXPECT_EQ(answer->error().what, "why");
}

TEST_F(HostMessagesTest, ErrnoThatIsNoneBecomesAnInputOutputError) {
  for (int number : {-2, 4096, 1 << 30}) {
    HostMessages fresh(*this);
    Message hello;
    hello.mutable_hello()->set_protocol_version(1);
    hello.mutable_hello()->set_channel_version(channel::kChannelVersion);
    ASSERT_EQ(fresh.take(hello.SerializeAsString(), 0), "");
    ASSERT_EQ(fresh.take(opened(fresh.ask(Message::kOpened), number).SerializeAsString(), 0), "");
    EXPECT_EQ(answer->error().sys_errno, EIO);
  }
}

TEST_F(HostMessagesTest, AnswersNobodyAskedForAreCaught) {
  greet();
  EXPECT_THAT(take(opened(1)), HasSubstr("nobody asked"));
  const auto id = messages.ask(Message::kDone);
  EXPECT_THAT(take(opened(id)), HasSubstr("wrong kind"));
}

TEST_F(HostMessagesTest, LateAndDoubleAnswersAreNoCrimeAndChangeNothing) {
  greet();
  const auto late = messages.ask(Message::kOpened);
  messages.give_up(late);
  EXPECT_EQ(take(opened(late)), "");
  EXPECT_FALSE(answer);
  const auto id = messages.ask(Message::kOpened);
  EXPECT_EQ(take(opened(id)), "");
  answer.reset();
  EXPECT_EQ(take(opened(id, EIO)), "");
  EXPECT_FALSE(answer);
}

TEST_F(HostMessagesTest, UnansweredRequestsAreLimited) {
  greet();
  Message message;
  message.mutable_open_file()->set_id(1);
  message.mutable_open_file()->set_path("/x");
  for (int i = 0; i < 16; ++i) EXPECT_EQ(take(message), "");
  EXPECT_THAT(take(message), HasSubstr("too many requests"));
  messages.finish_request();
  EXPECT_EQ(take(message), "");
  EXPECT_EQ(files.size(), 17u);
}

TEST_F(HostMessagesTest, ANewSupervisorOwesNothingForWhatTheOldOneWasAsked) {
  greet();
  Message message;
  message.mutable_get_identity()->set_id(1);
  for (int i = 0; i < 16; ++i) EXPECT_EQ(take(message), "");
  HostMessages next(*this, messages.next_question_id());
  for (int i = 0; i < 16; ++i) EXPECT_EQ(next.take(message.SerializeAsString(), 0), "");
  EXPECT_THAT(std::string(next.take(message.SerializeAsString(), 0)), HasSubstr("too many requests"));
  for (int i = 0; i < 16; ++i) next.finish_request();
  EXPECT_EQ(next.take(message.SerializeAsString(), 0), "");
  next.finish_request();
  EXPECT_DEATH(next.finish_request(), "requests_ > 0");
}

TEST_F(HostMessagesTest, OfAnAdoptedHostTheHelloIsHistory) {
  HostMessages next(*this, 1);
  EXPECT_TRUE(next.greeted());
  EXPECT_EQ(next.take(log_line("fine").SerializeAsString(), 0), "");
  EXPECT_EQ(hellos, 0);
  Message hello;
  hello.mutable_hello()->set_protocol_version(1);
  hello.mutable_hello()->set_channel_version(channel::kChannelVersion);
  EXPECT_THAT(std::string(next.take(hello.SerializeAsString(), 0)), HasSubstr("Hello twice"));
}

// What was recorded of the earlier one may be older than its last questions.
TEST_F(HostMessagesTest, AnswersToAnEarlierSupervisorAreNeitherACrimeNorOurAnswers) {
  greet();
  const auto recorded = messages.next_question_id();
  std::uint64_t last = 0;
  for (int i = 0; i < 1000; ++i) last = messages.ask(Message::kDone);
  HostMessages next(*this, recorded);
  const auto ours = next.ask(Message::kDone);
  EXPECT_GT(ours, last);
  EXPECT_EQ(next.take(opened(1).SerializeAsString(), 0), "");
  EXPECT_EQ(next.take(opened(last, EIO).SerializeAsString(), 0), "");
  EXPECT_FALSE(answer);
  EXPECT_THAT(std::string(next.take(opened(ours + 1).SerializeAsString(), 0)), HasSubstr("nobody asked"));
  Message done;
  done.mutable_done()->set_id(ours);
  EXPECT_EQ(next.take(done.SerializeAsString(), 0), "");
  EXPECT_EQ(answered_id, ours);
  const HostMessages third(*this, next.next_question_id());
  EXPECT_GT(third.next_question_id(), next.next_question_id());
}

TEST_F(HostMessagesTest, AUnitStateIsTakenAsItIsAndLimited) {
  greet();
  Message message;
  message.mutable_device_facts()->set_read_only(false);
  message.mutable_device_facts()->set_write_cache(true);
  message.mutable_device_facts()->set_size_bytes(512);
  EXPECT_EQ(take(message), "");
  EXPECT_EQ(unit_state, "");
  const std::string longest(64, '\0');
  message.mutable_device_facts()->set_unit_state(longest);
  EXPECT_EQ(take(message), "");
  EXPECT_EQ(unit_state, longest);
  message.mutable_device_facts()->set_unit_state(std::string(65, 'x'));
  EXPECT_THAT(take(message), HasSubstr("unit state"));
  EXPECT_EQ(unit_state, longest);
}

TEST_F(HostMessagesTest, CountersAreLimitedInNumberAndName) {
  greet();
  Message message;
  for (int i = 0; i < 65; ++i) {
    message.mutable_counters()->add_counter()->set_name("n");
    message.mutable_counters()->mutable_counter(i)->set_value(1);
  }
  EXPECT_THAT(take(message), HasSubstr("too many counters"));
  message.mutable_counters()->mutable_counter()->DeleteSubrange(1, 64);
  message.mutable_counters()->mutable_counter(0)->set_name(std::string(32, 'x'));
  EXPECT_THAT(take(message), HasSubstr("name"));
  EXPECT_TRUE(counters.empty());
}

TEST_F(HostMessagesTest, DescriptorsGarbageAndTheSupervisorsOwnMessagesAreCaught) {
  greet();
  EXPECT_THAT(take(log_line("with a present"), 1), HasSubstr("descriptors"));
  EXPECT_THAT(std::string(messages.take("\xff\xff garbage", 0)), HasSubstr("can't be parsed"));
  Message incomplete;
  incomplete.mutable_opened();  // without its required id
  EXPECT_THAT(take(incomplete), HasSubstr("can't be parsed"));
  Message ours;
  ours.mutable_close()->set_id(1);
  EXPECT_THAT(take(ours), HasSubstr("only the supervisor"));
  EXPECT_THAT(take(Message()), HasSubstr("only the supervisor"));
}

TEST_F(HostMessagesTest, WallsComeWithTheAnswerThatIsWaitedForAndAreBounded) {
  ASSERT_EQ(greet(), "");
  const auto id = messages.ask(Message::kOpened);
  auto message = opened(id);
  auto add = [&message](const std::string& name, const std::string& state) {
    message.mutable_opened()->add_walls()->set_name(name);
    message.mutable_opened()->mutable_walls()->rbegin()->set_state(state);
  };
  add("seccomp", "on");
  add("landlock", "missing: " + std::string(500, 'x'));
  EXPECT_EQ(take(message), "");
  ASSERT_TRUE(told);
  EXPECT_EQ(told->at("seccomp"), "on");
  EXPECT_EQ(told->at("landlock").size(), 95u);
  told.reset();
  EXPECT_EQ(take(message), "") << "late, and no crime";
  EXPECT_FALSE(told) << "nobody waits for it";
  message.mutable_opened()->set_id(messages.ask(Message::kOpened));
  add("", "on");
  EXPECT_THAT(take(message), HasSubstr("a wall's name"));
  message.mutable_opened()->clear_walls();
  add(std::string(32, 'x'), "on");
  EXPECT_THAT(take(message), HasSubstr("a wall's name"));
  message.mutable_opened()->clear_walls();
  for (int i = 0; i < 25; ++i) add("wall", "on");
  EXPECT_THAT(take(message), HasSubstr("too many walls"));
}

}  // namespace
}  // namespace bulkhead::supervisor
